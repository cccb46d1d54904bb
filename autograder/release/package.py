"""The kit's own code as other machines get it: files by path, and archives of them.

`checker` is what runs public tests; `graders` is what it leaves out. What is taken is what
`pyproject.toml` would install, so that nothing goes along that merely lies there.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

import autograder
import shared
from autograder.course import Course
from autograder.course.graders import GRADERS
from autograder.errors import ReleaseError
from autograder.files import write, zip_bytes
from autograder.release.build import walk

PYPROJECT, CONSTRAINTS = "pyproject.toml", "constraints.txt"
PUBLIC_GRADERS = ("__init__.py", "toolkit")
"""What of autograder/graders/ everybody may read: public tests are written with it."""
DEVELOPERS = "dev"
"""The extra of whoever works on the kit itself."""

Files = Mapping[str, bytes]
"""Contents by relative POSIX path."""


def checker(root: Path) -> dict[str, bytes]:
    """Engine, toolkit, library and how they are installed; no hidden grader.

    `root` is the course's folder, with pyproject.toml and constraints.txt. ReleaseError without.
    """
    data = _package_data(root)
    files: dict[str, bytes] = {}
    for package in (autograder, shared):
        folder = Path(str(package.__file__)).parent
        for path in walk(folder):
            name = PurePosixPath(path.relative_to(folder).as_posix())
            if _is_hidden(folder.name, name.parts) or not _goes_along(name, data[folder.name]):
                continue
            files[f"{folder.name}/{name}"] = path.read_bytes()
    files[PYPROJECT] = _pyproject(root).encode()
    files[CONSTRAINTS] = _read(root / CONSTRAINTS)
    return dict(sorted(files.items()))


def graders(root: Path, session_folder: str) -> dict[str, bytes]:
    """The hidden graders of one session: their data, known mistakes, and what sessions share.

    `root` is the course's folder, as for `checker`.
    """
    data = _package_data(root)["autograder"]
    files = {}
    for path in walk(GRADERS):
        name = PurePosixPath("graders", path.relative_to(GRADERS).as_posix())
        if not _is_hidden("autograder", name.parts) or not _goes_along(name, data):
            continue
        if len(name.parts) == 2 or name.parts[1] == session_folder:
            files[f"autograder/{name}"] = path.read_bytes()
    return files


def _package_data(root: Path) -> dict[str, list[str]]:
    """Patterns of the files that are no Python, by package, as `pyproject.toml` installs them."""
    data = _project(root).get("tool", {}).get("setuptools", {}).get("package-data", {})
    return {
        package.__name__: list(data.get(package.__name__, ())) for package in (autograder, shared)
    }


def _goes_along(name: PurePosixPath, patterns: Iterable[str]) -> bool:
    """Whether a file of a package is installed with it; `name` is relative to the package."""
    return name.suffix == ".py" or any(
        name.match(pattern) and len(name.parts) == len(PurePosixPath(pattern).parts)
        for pattern in patterns
    )


def _is_hidden(package: str, parts: tuple[str, ...]) -> bool:
    return package == "autograder" and parts[0] == "graders" and parts[1] not in PUBLIC_GRADERS


def course_text(course: Course) -> str:
    """course.yaml again, without its comments, which are the staff's."""
    tree = course.model_dump(mode="json", by_alias=True, exclude_unset=True)
    text: str = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)
    return text


# ---- how it is installed -------------------------------------------------------------------------


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReleaseError(
            f"{path} cannot be read ({error.strerror}); export from the course's repository"
        ) from None


def _project(root: Path) -> dict[str, Any]:
    path = root / PYPROJECT
    try:
        return tomllib.loads(_read(path).decode())
    except ValueError as error:
        raise ReleaseError(f"{path}: not TOML: {error}") from None


def _pyproject(root: Path) -> str:
    """A pyproject.toml that installs the same code without what only developers need."""
    tree = _project(root)
    project, build = tree.get("project", {}), tree.get("build-system", {})
    keys = ("name", "version", "description", "requires-python", "dependencies")
    if missing := [key for key in keys if key not in project]:
        raise ReleaseError(f"{root / PYPROJECT}: [project] has no {missing[0]}")
    extras = project.get("optional-dependencies", {})
    setuptools = tree.get("tool", {}).get("setuptools", {})
    return "\n".join(
        [
            *_table("build-system", build),
            *_table("project", {key: project[key] for key in keys}),
            *_table(
                "project.optional-dependencies",
                {name: extra for name, extra in extras.items() if name != DEVELOPERS},
            ),
            *_table("project.scripts", project.get("scripts", {})),
            *_table("tool.setuptools.packages.find", {"include": ["autograder*", "shared*"]}),
            *_table("tool.setuptools.package-data", setuptools.get("package-data", {})),
        ]
    )


def _table(name: str, values: Mapping[str, str | list[str]]) -> Iterator[str]:
    """One table of TOML; JSON's strings and lists of strings are TOML's too."""
    yield f"[{name}]"
    for key, value in values.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"
    yield ""


# ---- writing -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """What an export made: where, how many files, how many bytes."""

    path: Path
    files: int
    size: int

    def __str__(self) -> str:
        return f"{self.path}: {self.files} files, {self.size / 1000:,.0f} kB"


def check_target(target: Path) -> None:
    """ReleaseError if an export would write over anything: only a new or empty place will do."""
    try:
        taken = any(target.iterdir()) if target.is_dir() else target.exists()
    except OSError as error:
        raise ReleaseError(f"{target} cannot be read: {error.strerror}") from None
    if taken:
        raise ReleaseError(f"{target} already exists; remove it, or choose another name")


def write_zip(files: Files, target: Path, runnable: Collection[str] = ()) -> Written:
    """Write a zip that is not there yet, whole or not at all. ReleaseError if it cannot be."""
    check_target(target)
    if target.is_dir():
        raise ReleaseError(f"{target} is a folder; name a file that ends in .zip")
    content = zip_bytes(files, runnable=runnable)
    with _refusals(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, content)
    return Written(target, len(files), len(content))


def write_folder(files: Files, target: Path, runnable: Collection[str] = ()) -> Written:
    """Write files into a folder that is new or empty. ReleaseError if it cannot be."""
    check_target(target)
    with _refusals(target):
        for name, content in files.items():
            path = target / PurePosixPath(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(0o755 if name in runnable else 0o644)
    return Written(target, len(files), _size(files.values()))


def _size(contents: Iterable[bytes]) -> int:
    return sum(map(len, contents))


@contextmanager
def _refusals(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReleaseError(f"{target} cannot be written: {error.strerror}") from None
