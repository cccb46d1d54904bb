"""Options of the kit's own tests, and a folder of its own for each process that runs them."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# jsonschema compiles grammars for three seconds with it, for formats that nothing here has
sys.modules.setdefault("rfc3987_syntax", None)

# a busy machine is no failure
settings.register_profile("kit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kit")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest --update-goldens` writes the golden files anew; review the diff."""
    parser.addoption("--update-goldens", action="store_true", help="write golden files anew")


LONGEST = (
    "tests/test_banks.py",
    "tests/test_largest.py",
    "tests/integrations/test_nbgrader.py",
    "tests/test_stubs.py",
    "tests/engine/test_disk.py",
    "tests/hostile/test_hostile.py",
    "tests/docs/test_commands.py",
    "tests/engine/test_outcomes.py",
    "tests/solutions/test_s7_final_project.py",
    "tests/engine/test_diagnosis.py",
)
"""Files that take more than two minutes, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no process is left with one of them at the end."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(rank)))


def pytest_configure() -> None:
    """With pytest-xdist each process has a folder of its own, and one thread.

    So temporary files of one are no leftovers to the tests of another.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    # Two processes that wait for each other's threads take several times as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="tests-"))
    folder.chmod(0o755)  # graders that are run as another user have to get in
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    # After what libraries do at the end with their own folders in it.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
