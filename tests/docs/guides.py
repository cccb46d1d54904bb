"""Guides that are followed: their blocks, a copy of the kit, and a shell in which commands run."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support import ROOT

COMMENT = re.compile(r"\s{2,}#.*$")
PARTS = ("autograder", "shared", "solutions", "assignments", "tests")
FILES = ("course.yaml", "pyproject.toml", "constraints.txt")


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of every fenced block, in order."""
    yield from re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell_lines(text: str) -> list[str]:
    """The lines of all shell blocks, without comments."""
    shells = [content for language, content in blocks(text) if language in ("sh", "bash", "shell")]
    lines = [COMMENT.sub("", line).strip() for block in shells for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def copy_of_the_kit(folder: Path) -> Path:
    """The kit's own files in `folder`, with an interpreter that imports them: its path.

    Sessions 1 to 6 are left out: what they take is only time.
    """
    skipped = shutil.ignore_patterns("__pycache__", "hostile", "s[1-6]_*")
    for name in PARTS:
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    course = (ROOT / "course.yaml").read_text("utf-8")
    head, _, tail = course.partition("  - id: s1\n")
    (folder / "course.yaml").write_text(head + tail[tail.index("  - id: s7\n") :], "utf-8")
    venv.create(folder / ".venv", with_pip=False, symlinks=True)
    packages = next((folder / ".venv" / "lib").glob("python*")) / "site-packages"
    # A line of a .pth file is a folder; the .pth files in there, our own among them, are not read.
    lines = [str(folder), *site.getsitepackages()]
    (packages / "kit.pth").write_text("\n".join(lines) + "\n")
    python = folder / ".venv" / "bin" / "python"
    command(python.parent, f"exec {python} -m autograder")
    return python


def command(folder: Path, line: str) -> None:
    """A command `autograder` in `folder` that runs `line` with its arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "autograder"
    script.write_text(f'#!/bin/sh\n{line} "$@"\n')
    script.chmod(0o755)


def run(line: str, folder: Path, commands: Path, expected: Sequence[int] = (0,)) -> str:
    """What a shell prints for `line` in `folder`; `commands` is first on its path."""
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": path, "AUTOGRADER_SECRET": "secret", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in expected, f"{line}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, line
    return done.stdout + done.stderr
