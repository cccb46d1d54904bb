"""What students get: assignments, library, public tests and checker; nothing that is hidden.

README.md install.py pyproject.toml constraints.txt course.yaml
assignments/    made from solutions/ now, whatever lies in the course's own assignments/
shared/         the library
autograder/     the checker: everything but the graders
docs/           the rules of the final project, how to export, what a report holds
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

from autograder.course import Course, Session
from autograder.release.build import build_release
from autograder.release.package import Written, checker, course_text, write_folder, write_zip

TEMPLATES = Path(__file__).parent / "templates"
STUDENTS_DOCUMENTS = ("docs/exporting.md", "docs/report-schema.md", "docs/scoring.md")
RUNNABLE = ("install.py",)


def student_kit(course: Course, root: Path, session: Session | None = None) -> dict[str, bytes]:
    """The files of the kit by path, of all sessions or of one.

    `root` is the course's folder; ReleaseError as in a release.
    """
    chosen = course if session is None else course.model_copy(update={"sessions": (session,)})
    folders = {each.folder for each in chosen.sessions}
    files = {
        f"assignments/{name}": content
        for name, content in build_release(course, root / "solutions").items()
        if "/" not in name or name.partition("/")[0] in folders
    }
    files |= checker(root)
    files["course.yaml"] = students_course(chosen).encode()
    files["README.md"] = _readme(chosen).encode()
    files["install.py"] = (TEMPLATES / "install.py").read_bytes()
    for name in STUDENTS_DOCUMENTS:
        if (root / name).is_file():
            files[name] = (root / name).read_bytes()
    return dict(sorted(files.items()))


def write_student_kit(course: Course, root: Path, target: Path) -> Written:
    """Write the kit as a zip if the name ends so, else as a folder; neither may exist yet."""
    files = student_kit(course, root)
    put = write_zip if target.suffix.casefold() == ".zip" else write_folder
    return put(files, target, RUNNABLE)


def students_course(course: Course) -> str:
    """course.yaml without comments and without anybody's extension."""
    return course_text(course.model_copy(update={"extensions": ()}))


def _readme(course: Course) -> str:
    text = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    first = course.sessions[0]
    return Template(text).substitute(
        title=course.title,
        term=course.term,
        session=first.id,
        folder=first.folder,
        sessions="\n".join(_sessions(course)),
    )


def _sessions(course: Course) -> Iterator[str]:
    for session in course.sessions:
        due = f"{session.due:%d %B %Y, %H:%M}" if session.due else ""
        yield f"| {session.id} | {session.title} | `assignments/{session.folder}` | {due} |"
