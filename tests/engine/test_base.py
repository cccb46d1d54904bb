"""What killed batches leave behind goes at the next start; what lives stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from autograder.engine.sandbox.base import base_folder, remove_stale

HOLDS = (
    "import sys, tempfile, time; tempfile.tempdir = sys.argv[1]\n"
    "from autograder.engine.sandbox.base import base_folder\n"
    "with base_folder() as base:\n"
    "    (base / 'junk').write_text('x'); print(base, flush=True); time.sleep(600)\n"
)


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def holder(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A batch that has begun, and its folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as lines:
        return process, Path(lines.readline().strip())


def test_a_base_folder_is_gone_afterwards(parent: Path) -> None:
    with base_folder() as base:
        assert base.parent == parent
        (base / "x").write_text("x")
    assert list(parent.iterdir()) == []


def test_a_batch_that_was_killed_is_cleared_away_and_a_living_one_is_not(parent: Path) -> None:
    killed, left_behind = holder(parent)
    alive, in_use = holder(parent)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left_behind / "junk").is_file()
        with base_folder():
            assert not left_behind.exists()
            assert (in_use / "junk").is_file()
    finally:
        alive.kill()
        alive.wait()


def test_a_young_folder_without_a_lock_may_be_just_being_made(parent: Path) -> None:
    young, old = parent / "autograder-young", parent / "autograder-old"
    for folder in (young, old):
        folder.mkdir()
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    remove_stale(parent)
    assert (young.exists(), old.exists()) == (True, False)


def test_links_and_files_are_left_alone(
    parent: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("elsewhere")
    (target / "thesis.tex").write_text("years of work")
    (parent / "autograder-link").symlink_to(target)
    (parent / "autograder-file").write_text("")
    remove_stale(parent)
    assert (target / "thesis.tex").is_file()
    assert (parent / "autograder-file").is_file()
