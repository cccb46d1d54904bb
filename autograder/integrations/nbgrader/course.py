"""The folder of an nbgrader course: what `export nbgrader` writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

from autograder.course import Course, Session
from autograder.errors import AutograderError
from autograder.grading.results import SECRET_FILE, new_secret
from autograder.integrations.nbgrader.cells import BRIDGE, bridge_notebook
from autograder.release.build import build_release
from autograder.release.notebook import LAB, LAB_SOURCE, teachers_notebook
from autograder.release.package import Written, write_folder
from autograder.release.text import decode, read

HERE = Path(__file__).parent
CONFIG = "nbgrader_config.py"


def nbgrader_course(course: Course, root: Path) -> dict[str, bytes]:
    """The files by path. `root` is the folder of course.yaml; ReleaseError as in a release.

    `source/` holds what students get, and the answers of the lab sheets, which nbgrader strips.
    """
    files = {
        f"source/{name}": content
        for name, content in build_release(course, root / "solutions").items()
        if "/" in name
    }
    for session in course.sessions:
        files[f"source/{session.folder}/{BRIDGE}.ipynb"] = bridge_notebook(session)
        sheet = root / "solutions" / session.folder / LAB_SOURCE
        if sheet.is_file():
            where = f"solutions/{session.folder}/{LAB_SOURCE}"
            notebook = teachers_notebook(decode(read(sheet, where), where), where)
            files[f"source/{session.folder}/{LAB}"] = notebook
    files[CONFIG] = _config(course, root).encode()
    files[SECRET_FILE] = new_secret().encode()
    return files


def _config(course: Course, root: Path) -> str:
    text = Template((HERE / "nbgrader_config.txt").read_text(encoding="utf-8"))
    lines = "\n".join(_students_files(course.sessions))
    return text.substitute(
        id=repr(course.id), course=repr(str(root / "course.yaml")), students_files=lines
    )


def _students_files(sessions: tuple[Session, ...]) -> Iterator[str]:
    for session in sessions:
        yield f"    {session.folder!r}: {list(session.required_files)!r},"


def write_course(course: Course, root: Path, target: Path) -> Written:
    """Write the course into a folder that is new or empty."""
    if target.suffix.casefold() == ".zip":
        raise AutograderError(f"{target}: nbgrader works in a folder; name one")
    written = write_folder(nbgrader_course(course, root), target)
    (target / SECRET_FILE).chmod(0o600)
    return written
