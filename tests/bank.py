"""Banks of submissions: how an entry of `tests/submissions/` becomes a submission."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from autograder.course import Course, Session, load_course
from autograder.release import find_regions, strip_source
from autograder.submissions import Submission
from tests.support import ROOT, submission

BANKS = ROOT / "tests" / "submissions"

Definition = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Wrong:
    """One known mistake: replaces `exercise` in the solution."""

    exercise: str
    name: str
    reason: str
    submission: Submission


def course() -> Course:
    """The real course."""
    return load_course(ROOT / "course.yaml")


def solution(session: Session) -> dict[str, str]:
    """The solution's modules."""
    folder = ROOT / "solutions" / session.folder
    return {name: (folder / name).read_text(encoding="utf-8") for name in session.required_files}


def blank(session: Session) -> dict[str, str]:
    """What a student gets."""
    return {name: strip_source(text, name) for name, text in solution(session).items()}


def right(session: Session) -> dict[str, dict[str, str]]:
    """Differently written right submissions, by name."""
    folder = BANKS / session.folder / "right"
    return {
        each.name: {name: (each / name).read_text("utf-8") for name in session.required_files}
        for each in sorted(folder.iterdir())
        if each.is_dir()
    }


def pieces(text: str, where: str) -> dict[str, dict[str, Definition]]:
    """Exercise id -> the top-level functions and classes that hold its regions, by name."""
    found: dict[str, dict[str, Definition]] = {}
    definitions = [node for node in ast.parse(text).body if isinstance(node, Definition)]
    for region in find_regions(text, where):
        for node in definitions:
            if node.lineno < region.begin <= (node.end_lineno or 0):
                found.setdefault(region.id, {})[node.name] = node
    return found


def wrong(session: Session) -> list[Wrong]:
    """Every known mistake, appended to the solution's module: the later definition wins."""
    files = solution(session)
    entries = []
    for path in sorted((BANKS / session.folder / "wrong").glob("*.py")):
        function = path.stem.partition("__")[0]
        exercise = session.exercise(f"{session.id}.{function}")
        text = path.read_text(encoding="utf-8")
        changed = {**files, exercise.file: files[exercise.file] + "\n\n" + text}
        reason = (ast.get_docstring(ast.parse(text)) or "").strip()
        entries.append(Wrong(exercise.id, path.stem, reason, submission(path.stem, changed)))
    return entries
