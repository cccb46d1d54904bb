"""An entry before it is submitted: what would be refused, and what would earn nothing."""

from __future__ import annotations

from pathlib import Path

from autograder.course import FinalProject
from autograder.errors import SubmissionError
from autograder.project.card import parse_card, read_bytes
from autograder.project.context import CARD, MODEL, dataset_of
from autograder.project.credit import not_graded


def advice(folder: Path, project: FinalProject) -> tuple[str, ...]:
    """A line for what a person should know of the entry in `folder`, by its sizes and its card.

    SubmissionError for what no grader would measure: a missing, empty or too large file, or a card
    that cannot be read or names no data set of the course. The network is not looked into.
    """
    model, path = folder / MODEL, folder / CARD
    if not read_bytes(model, project.max_bytes):
        raise SubmissionError(f"{model}: the file is empty")
    card = parse_card(read_bytes(path, None), str(path))
    reason = not_graded(dataset_of(project, None, card), project)
    return (f"{CARD}: {reason}",) if reason else ()
