"""Judges and zygotes that die: no submission is lost, none is graded twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path

import pytest

from autograder.engine.host import pool
from autograder.engine.job import GradingJob
from autograder.errors import EngineError
from autograder.records import Report
from tests import support
from tests.support import ROOT, TEST_SECRET, small_course, submission

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not pool.can_fork(), reason="judges are processes on Linux only"),
]

grade = partial(support.grade, fresh=True)  # what dies here may be the zygote
FAIR = "from autograder.graders.toolkit import check, exercise\n"
CALL = "    check(student.add(1, 2) == 3, 'add them')\n"
RIGHT = {"work.py": "def add(a, b): return a + b\n"}


def graders(folder: Path, before: str) -> Path:
    """One grader that first does something to the judge's own process."""
    body = f"{FAIR}@exercise('s1.add')\ndef test_add(student):\n    '''Adds.'''\n{before}{CALL}"
    (folder / "test_add.py").write_text(body)
    return folder


@pytest.mark.parametrize(("spawn", "jobs"), [(False, 1), (True, 2)])
def test_a_judge_that_dies_once_is_replaced(tmp_path: Path, spawn: bool, jobs: int) -> None:
    mark = tmp_path / "died"
    before = (
        "    import os, pathlib, signal\n"
        f"    mark = pathlib.Path({str(mark)!r})\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    students = [submission(name, RIGHT) for name in ("ada", "bob", "cleo")]
    course, tests = small_course(["add"]), graders(tmp_path, before)
    reports = grade(course, students, tests, spawn=spawn, jobs=jobs)
    assert {name: report.points for name, report in reports.items()} == {
        "ada": 100,
        "bob": 100,
        "cleo": 100,
    }


def test_a_submission_that_kills_every_judge_is_reported_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    before = (
        "    import os, signal\n"
        "    if student.name() in ('bob', 'bella', 'boris'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    named = {
        name: {"work.py": RIGHT["work.py"] + f"def name(): return {name!r}\n"}
        for name in ("ada", "bob", "bella", "boris", "cleo")
    }
    students = [submission(name, files) for name, files in named.items()]
    reports = grade(small_course(["add"]), students, graders(tmp_path, before))
    assert (reports["ada"].points, reports["cleo"].points) == (100, 100)
    assert all(reports[name].has_tool_error for name in ("bob", "bella", "boris"))
    assert reports["bob"].maximum == 100


def test_a_report_of_a_tool_error_says_when_and_by_which_kit() -> None:
    course = small_course(["add"])
    job = GradingJob(course.id, course.sessions[0], course.limits, (), TEST_SECRET)
    report = pool.tool_error_report(job, submission("ada", RIGHT), "the judge died")
    assert report.has_tool_error
    assert datetime.fromisoformat(report.graded_at).utcoffset() == timedelta(0)
    assert report.kit_version == metadata.version("compression-course")


def test_a_zygote_that_is_killed_is_restarted(tmp_path: Path) -> None:
    mark = tmp_path / "died"
    before = (
        "    import os, pathlib, signal\n"
        f"    mark = pathlib.Path({str(mark)!r})\n"
        "    if not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    students = [submission(name, RIGHT) for name in ("ada", "bob")]
    reports = grade(small_course(["add"]), students, graders(tmp_path, before))
    assert [report.points for report in reports.values()] == [100, 100]


def test_a_zygote_that_is_killed_under_two_judges_loses_nobody(tmp_path: Path) -> None:
    mark = tmp_path / "died"
    before = (
        "    import os, pathlib, signal\n"
        f"    mark = pathlib.Path({str(mark)!r})\n"
        "    if student.name() == 'cleo' and not mark.exists():\n"
        "        mark.touch()\n"
        "        os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    names = ("ada", "bob", "cleo", "dora", "eve", "finn")
    students = [
        submission(name, {"work.py": RIGHT["work.py"] + f"def name(): return {name!r}\n"})
        for name in names
    ]
    reports = grade(small_course(["add"]), students, graders(tmp_path, before), jobs=2)
    assert {name: reports[name].points for name in names} == dict.fromkeys(names, 100)


@pytest.mark.parametrize("spawn", [False, True])
def test_an_engine_that_keeps_failing_says_why(
    monkeypatch: pytest.MonkeyPatch, spawn: bool
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(EngineError, match="did not start"):
        grade(small_course(["add"]), [submission("ada", RIGHT)], Path(__file__).parent, spawn=spawn)


@pytest.mark.parametrize("spawn", [False, True])
def test_a_relative_path_is_that_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawn: bool
) -> None:
    """Whoever delivers writes to relative folders, and graders are named by relative paths."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "work").mkdir()
    graders(tmp_path / "tests", "")
    monkeypatch.chdir(tmp_path / "work")
    written = Path("../reports.txt")
    course = small_course(["add"])
    job = GradingJob(course.id, course.sessions[0], course.limits, ("../tests",), TEST_SECRET)

    def deliver(report: Report) -> None:
        written.write_text(f"{report.student} {report.points}")

    pool.grade(job, [submission("ada", RIGHT)], deliver, lambda *_: None, spawn=spawn)
    assert (tmp_path / "reports.txt").read_text() == "ada 100.0"
    assert Path.cwd() == tmp_path / "work"


@pytest.mark.parametrize("spawn", [False, True])
def test_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawn: bool
) -> None:
    def children() -> set[str]:
        own = f"/proc/{os.getpid()}/task/{os.getpid()}/children"
        return set(Path(own).read_text().split())

    temporary = tmp_path / "temporary"
    temporary.mkdir(mode=0o755)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("TMPDIR", str(temporary))
    before = children()
    tests = graders(tmp_path, "")
    grade(small_course(["add"]), [submission("ada", RIGHT)], tests, spawn=spawn)
    assert children() == before
    assert list(temporary.iterdir()) == []


def test_two_judges_share_the_work(tmp_path: Path) -> None:
    before = "    import os\n    assert student.add(1, 1) == 2, str(os.getpid())\n"
    wrong = {"work.py": "def add(a, b):\n    import time\n    time.sleep(0.2)\n    return 0\n"}
    students = [submission(f"s{i}", wrong) for i in range(6)]
    reports = grade(small_course(["add"]), students, graders(tmp_path, before), jobs=2)
    judges = {report.exercises[0].tests[0].message for report in reports.values()}
    assert (len(reports), len(judges)) == (6, 2)


def test_required_isolation_that_is_missing_stops_the_batch(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"'strict' is required.*switched off"):
        grade(
            small_course(["add"]),
            [submission("ada", RIGHT)],
            graders(tmp_path, ""),
            require_isolation="strict",
            disabled_mechanisms=("landlock",),
        )


def test_less_isolation_is_reported(tmp_path: Path) -> None:
    disabled = ("landlock", "seccomp", "network", "user")
    students = [submission("ada", RIGHT)]
    reports = grade(
        small_course(["add"]), students, graders(tmp_path, ""), disabled_mechanisms=disabled
    )
    assert reports["ada"].points == 100
    assert reports["ada"].isolation.level != "strict"
    assert any("switched off" in line for line in reports["ada"].isolation.missing)


def test_interrupting_keeps_what_is_done(tmp_path: Path) -> None:
    course = small_course(["add"])
    job = GradingJob(
        course_id=course.id,
        session=course.sessions[0],
        limits=course.limits,
        tests=(str(graders(tmp_path, "")),),
        secret=TEST_SECRET,
    )
    done: list[Report] = []

    def deliver(report: Report) -> None:
        done.append(report)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    entries = [submission(f"s{i}", RIGHT) for i in range(50)]
    # a shell starts its background jobs with the signal ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            pool.grade(job, entries, deliver, lambda *_: None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 2 <= len(done) < 50


GRADE_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
from tests.support import grade, small_course, submission
grade(small_course(["add"]), [submission("ada", {"work.py": "add = sum"})], Path(sys.argv[1]))
"""


def test_a_judge_at_work_dies_with_whoever_started_the_batch(tmp_path: Path) -> None:
    """One that reads nothing, and so cannot learn that nobody waits for it any more."""
    note = tmp_path / "judge"
    busy = (
        f"    open({str(note)!r}, 'w').write(str(__import__('os').getpid()))\n    while 1: pass\n"
    )
    folder = str(graders(tmp_path, busy))
    process = subprocess.Popen([sys.executable, "-c", GRADE_IN_ANOTHER_PROCESS, folder], cwd=ROOT)
    try:
        assert wait_until(lambda: note.is_file() and note.read_text() != "", 120)
    finally:
        process.kill()
        process.wait()
    judge = Path("/proc", note.read_text())
    assert wait_until(lambda: not judge.exists(), 30)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_forks_are_made_cheap_for_many_submissions_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long as one submission's forks, and memory."""
    asked = []

    def source(job: GradingJob, _spawn: bool) -> None:
        asked.append(job.many_workers)
        raise EngineError("that is all")

    monkeypatch.setattr(pool, "judge_source", source)
    for count in (1, pool.MANY_SUBMISSIONS):
        students = [submission(f"s{number}", RIGHT) for number in range(count)]
        with pytest.raises(EngineError, match="that is all"):
            grade(small_course(["add"]), students, graders(tmp_path, ""))
    assert asked == [False, True]
