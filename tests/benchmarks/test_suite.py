"""Where the time of tests goes: every test is counted once, in whatever process it ran."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import suite
from benchmarks.suite import Spent
from tests.conftest import LONGEST
from tests.support import ROOT

TESTS = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_numbers(number):
    assert sum(range(3_000_000)) > number

def test_fails():
    assert False
"""


@pytest.mark.slow
@pytest.mark.parametrize("processes", ["0", "2"])
def test_pytest_is_run_and_every_test_is_in_the_tables(tmp_path: Path, processes: str) -> None:
    (tmp_path / "test_work.py").write_text(TESTS, encoding="utf-8")
    arguments = ["-q", f"--rootdir={tmp_path}", "-n", processes, str(tmp_path / "test_work.py")]
    command = [sys.executable, "-m", "benchmarks.suite", "--rows", "2", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stderr
    assert "1 failed, 2 passed" in done.stdout
    assert "test_numbers" in done.stdout
    assert "1 more" in done.stdout


def test_it_runs_what_make_test_runs() -> None:
    command = ["make", "--dry-run", "test"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = (line for line in done.stdout.splitlines() if "/pytest " in line)
    assert tuple(line.split()[1:]) == suite.AS_MAKE_TEST


def test_the_longest_files_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []


def test_tests_are_summed_the_largest_first() -> None:
    spent = suite.read(
        "1.500\t2.000\ta.py::one[x]\n1.000\t1.000\ta.py::one[y]\n4.000\t4.000\tb.py::two\n"
    )
    assert suite.grouped(spent, "[") == [
        Spent("b.py::two", 4.0, 4.0),
        Spent("a.py::one", 2.5, 3.0),
    ]
    assert [each.test for each in suite.grouped(spent, "::")] == ["b.py", "a.py"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_goes_on_is_counted() -> None:
    before = suite._processor_seconds()
    busy = "print(sum(range(10_000_000)), flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        alive = suite._processor_seconds()
    finally:
        process.communicate(b"\n")
    assert before < alive
    assert suite._processor_seconds() >= alive  # it was waited for


def test_where_pytest_does_not_start_there_are_no_tables() -> None:
    command = [sys.executable, "-m", "benchmarks.suite", "--no-such-option"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--no-such-option" in done.stderr
    assert done.stdout == ""
