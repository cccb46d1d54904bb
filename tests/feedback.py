"""What each single-mistake file of the banks must fail, and which known mistake it must be told.

`autograder/graders/<session>/mistakes/expected.yaml` maps the name of a file to

    fails: the checks that do not pass, by name
    named: the sentences of known mistakes that are shown, in order; empty if none explains it
    starred: true, written by hand, for a mistake that costs at least half of the exercise

It is written by `pytest tests/test_banks.py --update-goldens`; review the difference: a sentence
must be true of the file, and a check must fail because of what its title says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from autograder.course import Session
from autograder.engine.judge.diagnosis import SAME
from autograder.engine.judge.mistakes import FOLDER, STATED, known_mistakes
from autograder.grading.kinds import graders_of
from autograder.records import KNOWN_MISTAKE, ExerciseResult, Outcome
from tests import bank


@dataclass(frozen=True)
class Feedback:
    """What a student reads about one exercise: failed checks, named mistakes, what else is said."""

    fails: tuple[str, ...]
    named: tuple[str, ...]
    said: tuple[str, ...]


def feedback(result: ExerciseResult, sentences: tuple[str, ...]) -> Feedback:
    """The feedback of one result, given the sentences of the exercise's known mistakes."""
    lost = [test for test in result.tests if test.outcome is not Outcome.PASSED]
    messages = [test.message for test in lost]
    told = [text.removeprefix(KNOWN_MISTAKE) for text in messages if text.startswith(KNOWN_MISTAKE)]
    named = [one for text in told for one in sentences if text.startswith(one)]
    said = [text for text in messages if text != SAME and not text.startswith(KNOWN_MISTAKE)]
    return Feedback(tuple(test.name for test in lost), tuple(named), tuple(said))


def sentences(session: Session) -> dict[str, tuple[str, ...]]:
    """Exercise id -> the sentences of its known mistakes."""
    folder = graders_of(session)
    solution = bank.solution(session)
    return {
        exercise.id: tuple(
            mistake.sentence
            for mistake in known_mistakes([str(folder)], exercise.name, solution[exercise.file])
        )
        for exercise in session.exercises
    }


def golden(session: Session) -> Path:
    """The file that states what is expected."""
    return graders_of(session) / FOLDER / STATED


def stated(session: Session) -> dict[str, dict[str, Any]]:
    """Name of a wrong file -> `fails`, `named` and, for some, `starred`."""
    path = golden(session)
    return (yaml.safe_load(path.read_text("utf-8")) or {}) if path.exists() else {}


def plain(one: Feedback) -> dict[str, Any]:
    """The form in which feedback is stated."""
    return {"fails": list(one.fails), "named": list(one.named)}


UNSTEADY = ("not_deterministic", "random_ties")
"""Mistakes that fail by chance: not the same checks each time."""


def as_stated(name: str, found: Feedback, entry: dict[str, Any]) -> bool:
    """Whether the feedback on a file is what is stated of it."""
    if name.endswith(UNSTEADY):
        return bool(set(found.fails) & set(entry["fails"])) and list(found.named) == entry["named"]
    return plain(found) == {key: entry[key] for key in ("fails", "named")}


def starred(session: Session) -> set[str]:
    """Names of the files that hold a mistake which the exercise is about."""
    return {name for name, entry in stated(session).items() if entry.get("starred")}


def forget(session: Session) -> None:
    """Keep only what a person wrote, so that mistakes are tried on every check again."""
    kept = {name: {"starred": True} for name in starred(session)}
    golden(session).write_text(yaml.safe_dump(kept), "utf-8")


def write(session: Session, found: dict[str, Feedback]) -> None:
    """State what was found."""
    marks = {name: {"starred": True} for name in starred(session)}
    tree = {name: {**plain(one), **marks.get(name, {})} for name, one in found.items()}
    text = yaml.safe_dump(dict(sorted(tree.items())), sort_keys=False, allow_unicode=True, width=96)
    golden(session).write_text(text, "utf-8")
