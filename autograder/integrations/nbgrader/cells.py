"""Bridge cells: one cell for each exercise, in a notebook of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from autograder.course import CourseExercise, Session
from autograder.release.notebook import KERNEL

BRIDGE = "exercises"
"""The notebook that holds the bridge cells, without its suffix."""

_SETUP = "from autograder.integrations.nbgrader.bridge import credit"


def grade_id(exercise: CourseExercise) -> str:
    """The cell's name: nbgrader allows letters, digits, - and _ only."""
    return exercise.id.replace(".", "-")


def by_grade_id(session: Session) -> dict[str, CourseExercise]:
    """The exercises of a session by the names of their cells."""
    return {grade_id(exercise): exercise for exercise in session.exercises}


def bridge_notebook(session: Session) -> bytes:
    """The notebook: an automatically graded cell, or one for a person, for each exercise."""
    notebook = {
        "cells": list(_cells(session)),
        "metadata": {"kernelspec": KERNEL},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def _cells(session: Session) -> Iterator[dict[str, Any]]:
    files = ", ".join(f"`{name}`" for name in session.required_files)
    text = (
        f"# {session.title}\n\nYour work is in {files}. Leave this notebook as it is: each cell "
        "below takes the points of one exercise from the grader."
    )
    yield _cell("markdown", "about", text)
    yield _cell("code", "setup", _SETUP)
    for exercise in session.exercises:
        by_hand = exercise.graded == "by hand"
        about = {
            "grade": True,
            "grade_id": grade_id(exercise),
            "locked": not by_hand,
            "points": exercise.points,
            "schema_version": 3,
            "solution": by_hand,
        }
        if by_hand:
            yield _cell(
                "markdown", grade_id(exercise), f"{exercise.title}: a person reads it.", about
            )
        else:
            source = f"# {exercise.title}\ncredit({exercise.id!r})"
            yield _cell("code", grade_id(exercise), source, about)


def _cell(kind: str, name: str, source: str, nbgrader: object = None) -> dict[str, Any]:
    cell: dict[str, Any] = {
        "cell_type": kind,
        "id": name[:64].replace(".", "-"),
        "metadata": {} if nbgrader is None else {"nbgrader": nbgrader},
        "source": source,
    }
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
