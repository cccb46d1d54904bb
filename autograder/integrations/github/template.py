"""A repository for students to start from: the student kit with a workflow for each session."""

from __future__ import annotations

from pathlib import Path

from autograder.course import Course, Session
from autograder.errors import AutograderError
from autograder.release.package import Written, write_folder, write_zip
from autograder.release.student_kit import RUNNABLE, student_kit

WORKFLOW = Path(__file__).with_name("check.yml")
IGNORED = ".venv/\n__pycache__/\n*.egg-info/\nbuild/\nout/\n.ipynb_checkpoints/\n"
ABOUT = """
## Checks on GitHub

Each push that changes an assignment runs its public checks (*Actions* on GitHub): messages stand
beside your lines, and the run's summary lists every exercise. They are those of `autograder check`.
"""


def workflow(session: Session) -> str:
    """The workflow file of a session's public checks."""
    text = WORKFLOW.read_text(encoding="utf-8")
    return text.replace("@session@", session.id).replace("@folder@", session.folder)


def template(course: Course, root: Path, session: Session | None = None) -> dict[str, bytes]:
    """The files by path, of one session or of the whole course. ReleaseError as in a release.

    A project has no workflow: entries are measured as pull requests, see docs/pull-requests.md.
    """
    chosen = course.sessions if session is None else (session,)
    checked = [each for each in chosen if each.kind == "functions"]
    if not checked:
        raise AutograderError(f"{chosen[0].id} has no public checks: its entries are pull requests")
    files = student_kit(course, root, session)
    files["README.md"] += ABOUT.encode()
    files[".gitignore"] = IGNORED.encode()
    for each in checked:
        files[f".github/workflows/check-{each.id}.yml"] = workflow(each).encode()
    return dict(sorted(files.items()))


def write_template(
    course: Course, root: Path, target: Path, session: Session | None = None
) -> Written:
    """Write the repository's files as a new zip if the name ends so, else as a new folder."""
    put = write_zip if target.suffix.casefold() == ".zip" else write_folder
    return put(template(course, root, session), target, RUNNABLE)
