"""The environment of zygotes and workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.engine.control import clean_environment

NAMELESS = 54321


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user id without a name")
def test_a_user_id_without_a_name_is_enough(tmp_path: Path) -> None:
    """`torch._inductor` asks `getpass.getuser()`, which raises without a passwd entry."""
    code = f"import os, getpass; os.setuid({NAMELESS}); print(getpass.getuser())"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env=clean_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_secret_and_no_setting_of_the_caller_goes_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AUTOGRADER_SECRET", "GITHUB_TOKEN", "PYTHONPATH", "LD_PRELOAD", "USER"):
        monkeypatch.setenv(name, "x")
    assert "x" not in clean_environment(tmp_path).values()
