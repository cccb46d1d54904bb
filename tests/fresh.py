"""A machine that has only what the product depends on: a virtual environment made of hard links."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.support import ROOT

INSTALLERS = ("pip", "setuptools")
SITE = Path(sysconfig.get_path("purelib"))


def requirements() -> list[str]:
    """What pyproject.toml installs for everybody."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return list(project["dependencies"])


def names(requirements: Iterable[str]) -> set[str]:
    """Normalized names of what is asked for."""
    return {normalized(Requirement(text).name) for text in requirements}


def normalized(name: str) -> str:
    """A distribution's name as indices write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> dict[str, metadata.Distribution]:
    """These distributions and, without extras, what they need; by normalized name."""
    found: dict[str, metadata.Distribution] = {}
    todo = [Requirement(name) for name in names]
    while todo:
        one = todo.pop()
        key = normalized(one.name)
        if key in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found[key] = metadata.distribution(one.name)
        todo += map(Requirement, found[key].requires or ())
    return found


def environment(folder: Path) -> Path:
    """Make the environment in `folder` and return its interpreter."""
    venv.create(folder, with_pip=False)
    site = folder / SITE.relative_to(sys.prefix)
    needed = closure([*requirements(), *INSTALLERS]).values()
    for name in sorted({entry for distribution in needed for entry in _entries(distribution)}):
        _link(SITE / name, site / name)
    return folder / "bin" / "python"


def _entries(distribution: metadata.Distribution) -> set[str]:
    """Top-level files and folders of a distribution in site-packages."""
    parts = (file.parts for file in distribution.files or ())
    return {part[0] for part in parts if part[0] not in ("..", "__pycache__")}


def _link(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_hard)
    elif source.exists():
        _hard(source, target)


def _hard(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def run(command: Iterable[str | Path], folder: Path, **variables: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command in a new shell's environment."""
    kept = {key: os.environ[key] for key in os.environ if key.startswith(("PIP_", "SSL_", "TMP"))}
    kept |= {"PATH": "/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "120", "LANG": "C.UTF-8"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def distributions(python: Path) -> Iterator[str]:
    """Normalized names of what is installed there."""
    code = "from importlib.metadata import distributions as d\nfor x in d(): print(x.name)"
    _, names, _ = run([python, "-c", code], python.parent)
    yield from map(normalized, names.split())
