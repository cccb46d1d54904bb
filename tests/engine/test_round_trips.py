"""Encoding in one worker, decoding in another: the first is dead, the order is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autograder.engine.host import pool
from autograder.engine.job import GradingJob
from autograder.engine.sandbox import kernel
from autograder.graders.toolkit import RandomInputs, round_trips
from tests.support import TEST_SECRET, grade, small_course, submission


class Recorder:
    """Stands for a student: notes who does what."""

    def __init__(self, journal: list[str], name: str = "first") -> None:
        self.journal, self.name = journal, name

    def successor(self) -> Recorder:
        self.journal.append(f"{self.name} ends")
        return Recorder(self.journal, "second")


def encode(student: Recorder, value: int) -> bytes:
    student.journal.append(f"{student.name} encodes {value}")
    return bytes([value])


def decode(student: Recorder, message: bytes, value: int) -> int:
    student.journal.append(f"{student.name} decodes {message[0]}")
    assert message[0] == value
    return 10 * message[0]


def test_everything_is_encoded_before_anything_is_decoded() -> None:
    orders = set()
    for seed in range(20):
        journal: list[str] = []
        rng = RandomInputs(bytes([seed]))
        messages, values = round_trips(Recorder(journal), rng, encode, decode, [3, 1, 2])
        assert (messages, values) == ([b"\3", b"\1", b"\2"], [30, 10, 20])
        assert journal[:4] == [*(f"first encodes {n}" for n in (3, 1, 2)), "first ends"]
        assert sorted(journal[4:]) == [f"second decodes {n}" for n in (1, 2, 3)]
        orders.add(tuple(journal[4:]))
    assert len(orders) > 3


def test_one_input_is_too_few() -> None:
    with pytest.raises(ValueError, match="two inputs at least"):
        round_trips(Recorder([]), RandomInputs(b"x"), encode, decode, [1])


GRADER = """
from pathlib import Path
from autograder.graders.toolkit import check, exercise, round_trips

@exercise("s1.add")
def test_add(student, rng):
    '''Adds.'''
    others = [student.fresh(), student.clean(), student]
    pids = [student.add(0, 0), others[0].add(0, 0)]
    others[1].put(1)
    assert all(Path(f"/proc/{pid}").exists() for pid in pids)

    def decode(other, message, given):
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids), "one is alive"
        return other.add(0, 0)

    _, second = round_trips(student, rng, lambda s, n: s.add(0, 0), decode, [1, 2])
    assert second[0] == second[1] not in pids, "two workers decode"
    check(student.add(0, 0) not in (*pids, second[0]), "the first one starts anew")
"""


@pytest.mark.slow
@pytest.mark.skipif(not pool.can_fork(), reason="looks at processes in /proc")
def test_no_other_worker_is_alive_when_the_second_starts(tmp_path: Path) -> None:
    (tmp_path / "test_add.py").write_text(GRADER, encoding="utf-8")
    source = {"work.py": "import os\ndef add(a, b): return os.getpid()\n"}
    reports = grade(small_course(["add"]), [submission("ada", source)], tmp_path)
    test = reports["ada"].exercises[0].tests[0]
    assert (test.outcome, test.message, test.detail) == ("passed", "", "")


@pytest.mark.slow
@pytest.mark.skipif(not pool.can_fork(), reason="only Linux has this switch")
def test_the_command_line_hides_its_memory_while_workers_run(tmp_path: Path) -> None:
    (tmp_path / "test_add.py").write_text(
        "from autograder.graders.toolkit import check, exercise\n"
        "@exercise('s1.add')\n"
        "def test_add(student):\n"
        "    '''Adds.'''\n"
        "    check(student.add(1, 2) == 3, 'add')\n",
        encoding="utf-8",
    )
    course = small_course(["add"])
    job = GradingJob(
        course_id=course.id,
        session=course.sessions[0],
        limits=course.limits,
        tests=(str(tmp_path),),
        secret=TEST_SECRET,
    )
    states: list[Any] = []
    before = kernel.prctl(3)  # PR_GET_DUMPABLE
    pool.grade(
        job,
        [submission("ada", {"work.py": "def add(a, b): return a + b\n"})],
        lambda report: states.append((report.points, kernel.prctl(3))),
        lambda *_: states.append(kernel.prctl(3)),
    )
    assert states == [0, (100, 0)]
    assert kernel.prctl(3) == before
