"""What `export classroom50` writes: the template for students, and the classroom's autograder.

template/      the repository that students start from: the kit of one session
autograder/    goes to CLASSROOM/autograders/ASSIGNMENT/ of the organization's classroom50
runtime.json   the assignment's runtime block
"""

from __future__ import annotations

import json
from pathlib import Path

from autograder.course import Course, Session
from autograder.errors import AutograderError
from autograder.integrations.github.template import IGNORED
from autograder.release.package import Written, write_folder
from autograder.release.student_kit import RUNNABLE, student_kit

ENTRY = Path(__file__).with_name("entry.py")
RUNTIME = {"runs-on": "ubuntu-24.04", "python": "3.11"}
NOT_FOR_CHECKS = ("install.py", "README.md", "docs/")


def bundle(course: Course, root: Path, session: Session) -> dict[str, bytes]:
    """The files by path. ReleaseError as in a release; AutograderError for a project."""
    if session.kind != "functions":
        raise AutograderError(f"{session.id} has no public checks: its entries are pull requests")
    kit = student_kit(course, root, session)
    files = {f"template/{name}": content for name, content in kit.items()}
    files["template/.gitignore"] = IGNORED.encode()
    for name, content in kit.items():
        if not name.startswith(NOT_FOR_CHECKS):
            files[f"autograder/kit/{name}"] = content
    text = ENTRY.read_text(encoding="utf-8").replace("@session@", session.id)
    files["autograder/autograder.py"] = text.encode()
    files["runtime.json"] = (json.dumps(RUNTIME, indent=2) + "\n").encode()
    return files


def write_bundle(course: Course, root: Path, session: Session, target: Path) -> Written:
    """Write both into a folder that is new or empty."""
    if target.suffix.casefold() == ".zip":
        raise AutograderError(f"{target}: Classroom 50 takes files of a repository; name a folder")
    runnable = [f"template/{name}" for name in RUNNABLE]
    return write_folder(bundle(course, root, session), target, runnable)
