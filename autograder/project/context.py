"""What a judge of final projects has to know besides its job. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.course import DatasetName, FinalProject
from autograder.course.schema import PROJECT_FILES
from autograder.errors import AutograderError, SubmissionError
from autograder.project.card import Card

MODEL, CARD = PROJECT_FILES
PRELOAD = ("autograder.project.worker_side",)
"""What a zygote, or a new interpreter, imports before the process is confined."""

SECONDS = 900  # that one confined process may take
MEMORY_MB = 2048
SUBMISSION_SECONDS = 2 * SECONDS  # one process measures, one runs the network


@dataclass(frozen=True)
class ProjectContext:
    """The rules of the project; `dataset` is what is scored on instead of the card's, if any.

    With `team_from_card`, as for `score`, the card says whose entry it is, else the submission.
    Then there may be no card (`has_card`): the file is measured and is nobody's entry.
    """

    project: FinalProject
    dataset: DatasetName | None = None
    team_from_card: bool = False
    has_card: bool = True


def dataset_of(project: FinalProject, option: str | None, card: Card) -> DatasetName:
    """The data set that the option names, else the card, else the course's first."""
    name = card.dataset if option is None else option
    for known in project.datasets:
        if name in (known, None):
            return known
    expected = f"expected one of {', '.join(project.datasets)}"
    if option is None:
        raise SubmissionError(f"{CARD}: dataset: {expected}, got {name}")
    raise AutograderError(f"--dataset {name}: {expected}")
