"""The archive that a lecturer uploads as a session's autograder."""

from __future__ import annotations

from pathlib import Path
from string import Template

from autograder.course import Course, Session
from autograder.errors import AutograderError, ReleaseError
from autograder.grading.kinds import automatic, graders_of
from autograder.grading.results import SECRET_FILE, new_secret
from autograder.release.build import walk
from autograder.release.package import Written, checker, course_text, graders, write_zip

HERE = Path(__file__).parent
RUNNABLE = ("setup.sh", "run_autograder")
DEFAULT_MINUTES, MAX_MINUTES = 10.0, 40.0  # Gradescope's own


def bundle(course: Course, root: Path, session: Session, minutes: float) -> dict[str, bytes]:
    """The files of the archive by path; `minutes` is the time limit set on Gradescope.

    With the same AUTOGRADER_SECRET the same inputs are drawn as by `autograder grade`; without one,
    the archive gets a key of its own. ReleaseError for what the course lacks.
    """
    if not automatic(session):
        raise AutograderError(f"{session.id} has no exercise that is graded automatically")
    if not 0 < minutes <= MAX_MINUTES:
        raise AutograderError(f"--minutes {minutes:g}: Gradescope allows up to {MAX_MINUTES:g}")
    files = checker(root)
    if session.kind == "functions":
        files |= _hidden(session, root)
    files["course.yaml"] = course_text(_only(course, session)).encode()
    files[SECRET_FILE] = new_secret().encode()
    files["setup.sh"] = (HERE / "setup.sh").read_bytes()
    text = Template((HERE / "run_autograder").read_text(encoding="utf-8"))
    values = {"session": session.id, "minutes": f"{minutes:g}"}
    files["run_autograder"] = text.substitute(values).encode()
    return files


def _only(course: Course, session: Session) -> Course:
    """The course without its other sessions."""
    extensions = tuple(e for e in course.extensions if e.session == session.id)
    return course.model_copy(update={"sessions": (session,), "extensions": extensions})


def _hidden(session: Session, root: Path) -> dict[str, bytes]:
    """Graders, and the model solution on which known mistakes are tried."""
    graders_of(session)  # AutograderError without
    files = graders(root, session.folder)
    folder = root / "solutions" / session.folder
    if not folder.is_dir():
        raise ReleaseError(f"{folder}: no such folder; expected the course's solutions/")
    for path in walk(folder):
        if path.suffix == ".py" and path.name in session.required_files:
            files[f"solutions/{session.folder}/{path.name}"] = path.read_bytes()
    return files


def write_bundle(
    course: Course, root: Path, session: Session, target: Path, minutes: float
) -> Written:
    """Write the archive, which may not exist yet."""
    if target.suffix.casefold() != ".zip":
        raise AutograderError(f"{target}: Gradescope takes a zip; name a file that ends in .zip")
    return write_zip(bundle(course, root, session, minutes), target, RUNNABLE)
