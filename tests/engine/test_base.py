"""What killed batches leave behind goes at the next start; what lives stays."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from autograder.engine.sandbox import base as base_module
from autograder.engine.sandbox import scratch
from autograder.engine.sandbox.base import base_folder, remove_stale
from autograder.errors import EngineError

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


def test_a_batch_that_was_killed_while_it_began_or_ended_is_cleared_away(parent: Path) -> None:
    (parent / "autograder-without-a-lock").mkdir()
    with base_folder() as base:
        assert list(parent.iterdir()) == [base]


def test_where_others_may_be_making_theirs_a_young_folder_without_a_lock_stays(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_module, "_WAIT", 0.1)
    young, old = parent / "autograder-young", parent / "autograder-old"
    for folder in (young, old):
        folder.mkdir()
    an_hour_ago = time.time() - 3600
    os.utime(old, (an_hour_ago, an_hour_ago))
    with scratch.only_one(parent) as alone:
        assert alone
        with base_folder():
            assert (young.exists(), old.exists()) == (True, False)
    with base_folder():
        assert not young.exists()


def test_who_makes_one_waits_for_who_removes_one(parent: Path) -> None:
    begun = threading.Event()

    def batch() -> None:
        begun.set()
        with base_folder():
            made.append(time.monotonic())

    made: list[float] = []
    with scratch.only_one(parent) as alone:
        assert alone
        thread = threading.Thread(target=batch)
        thread.start()
        begun.wait()
        time.sleep(0.2)
        assert made == []
    thread.join()
    assert len(made) == 1


def test_a_folder_that_cannot_be_removed_stops_nobody(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parent / "autograder-immovable").mkdir()
    removed = scratch.remove

    def remove(folder: Path) -> None:
        if folder.name == "autograder-immovable":
            raise EngineError("cannot remove it")
        removed(folder)

    monkeypatch.setattr(scratch, "remove", remove)
    with base_folder() as base:
        assert base.is_dir()
    assert [path.name for path in parent.iterdir()] == ["autograder-immovable"]


def test_a_folder_around_it_that_is_no_place_for_a_lock_will_do(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_module, "_WAIT", 0.1)
    opened = os.open

    def closed_to_readers(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if path == parent and not flags & getattr(os, "O_PATH", 0):
            raise PermissionError(errno.EACCES, "not readable")
        return opened(path, flags, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", closed_to_readers)
        with base_folder() as base:
            assert base.is_dir()
    assert not base.exists()


def test_links_and_files_are_left_alone(
    parent: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("elsewhere")
    (target / "thesis.tex").write_text("years of work")
    (parent / "autograder-link").symlink_to(target)
    (parent / "autograder-file").write_text("")
    remove_stale(parent, alone=True)
    assert (target / "thesis.tex").is_file()
    assert (parent / "autograder-file").is_file()
