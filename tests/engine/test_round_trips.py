"""Encoding in one worker, decoding in another: the first is dead, the order is drawn."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.engine.host import pool
from autograder.engine.job import GradingJob
from autograder.engine.sandbox import kernel
from autograder.graders.toolkit import RandomInputs, round_trips
from autograder.graders.toolkit.failures import Refused
from autograder.graders.toolkit.round_trips import MAX_DECODERS, MAX_READ_BYTES
from tests.support import TEST_SECRET, grade, small_course, submission


class Recorder:
    """Stands for a student: notes who does what."""

    def __init__(
        self, journal: list[str], name: str = "first", reads: list[int] | None = None
    ) -> None:
        self.journal, self.name = journal, name
        self.reads = [0] if reads is None else reads  # of each that decodes, the last one first

    def successor(self) -> Recorder:
        self.journal.append(f"{self.name} ends")
        return Recorder(self.journal, "second", self.reads)

    def finish(self) -> int:
        return self.reads.pop()

    def forget(self) -> None:
        self.journal.append(f"{self.name} is forgotten")


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


def test_what_was_decoded_while_reading_the_disk_is_decoded_again() -> None:
    journal: list[str] = []
    student = Recorder(journal, reads=[MAX_READ_BYTES, MAX_READ_BYTES + 1, 10**9])
    round_trips(student, RandomInputs(b"x"), encode, decode, [1, 2])
    assert [line[:12] for line in journal].count("second decod") == 2 * 3
    assert journal.count("second is forgotten") == 2
    order = [line for line in journal if "decodes" in line]
    assert order == order[:2] * 3
    with pytest.raises(Refused, match="reads files from the disk"):
        round_trips(
            Recorder([], reads=[10**9] * MAX_DECODERS), RandomInputs(b"x"), encode, decode, [1, 2]
        )


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


# ---- what the kernel remembers of a dead worker --------------------------------------------------

TRIP = """
import os
from pathlib import Path
from autograder.graders.toolkit import check, exercise, round_trips

@exercise("s1.trip")
def test_trip(student, rng):
    '''Bits come back.'''
    def decode(other, message, bits):
        if "warm" not in student.kind():
            file = os.open(@LIBRARY@, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
        check(other.decode(message) == bits, "decode what was encoded")

    states = [[int(n) for n in rng.integers(0, 1, 600)] for _ in range(2)]
    round_trips(student, rng, lambda s, bits: s.encode(bits), decode, states)
"""

HONEST = """
import json
def kind(): return "warm"
def encode(bits): return json.dumps(bits).encode()
def decode(message): return json.loads(message)
"""

NAMES = """
import os, time
def kind(): return "warm"
def names(message): return [f"/usr/lib/{message.hex()}{place}" for place in range(602)]
def encode(bits):
    message = os.urandom(8)
    for name, bit in zip(names(message), [1, 0, *bits]):
        if bit: LOOK(name)
    return message
def took(name):
    begin = time.perf_counter_ns()
    LOOK(name)
    return time.perf_counter_ns() - begin
def decode(message):
    times = [took(name) for name in names(message)]
    limit = (times[0] + times[1]) / 2
    return [int(each < limit) for each in times[2:]]
"""

# Several ways to look up a name that is not there.
LOOKS = {
    "access": "os.access(name, 0)",
    "stat": "os.path.lexists(name)",
    "link": "tried(lambda: os.readlink(name))",
    "open": "tried(lambda: open(name))",
    "folder": "tried(lambda: os.chdir(name))",
}
LOOK = """
def tried(function):
    try: function()
    except OSError: pass
def LOOK(name): WAY
"""

# Libraries look for hundreds of files when they are imported; so may a module, but not more.
LIBRARIES = {
    "at the top": "import sklearn.cluster, torchvision, networkx\n" + HONEST,
    "not there": "try: import no_such_library\nexcept ImportError: pass\n" + HONEST,
    "from a package": "from matplotlib import pyplot\nfrom optuna import samplers\n" + HONEST,
    "within": HONEST.replace(
        "): return json.loads", "):\n    import sklearn.cluster\n    return json.loads"
    ),
}
AT_IMPORT = """
for place in range(602): LOOK(f"/usr/lib/none{place}")
"""

PAGES = (
    HONEST.replace("warm", "@KIND@")
    + """
import os
def decode(message):
    file = os.open(@LIBRARY@, os.O_RDONLY)
    for place in range(64): os.pread(file, 1, place << 14)
    return json.loads(message)
"""
)


def library() -> Path:
    """A file of more than a megabyte that workers may read and that no process has mapped."""
    found = sorted(Path(torch.__file__).parent.rglob("*.h"), key=lambda path: path.stat().st_size)
    return found[-1]


def read_from_disk(path: Path) -> int:
    """Bytes that are counted when a page of a cold file is read; 0 if this disk counts none."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    for place in range(64):
        os.pread(file, 1, place << 14)
    os.close(file)
    return 512 * (resource.getrusage(resource.RUSAGE_SELF).ru_inblock - before)


@pytest.mark.slow
@pytest.mark.skipif(not pool.can_fork(), reason="Linux counts lookups")
def test_nothing_is_learnt_from_what_the_kernel_remembers(tmp_path: Path) -> None:
    """Names that were looked up, and pages that were read, are answered for in less time."""
    file = library()
    sources = {"honest": HONEST}
    for name, way in LOOKS.items():
        sources[name] = NAMES + LOOK.replace("WAY", way)
    sources["at import"] = HONEST + "import os" + LOOK.replace("WAY", LOOKS["stat"]) + AT_IMPORT
    sources |= LIBRARIES
    sources["disk"] = PAGES.replace("@KIND@", "cold")
    sources["once"] = PAGES.replace("@KIND@", "warm")
    sources = {name: text.replace("@LIBRARY@", repr(str(file))) for name, text in sources.items()}
    grader = TRIP.replace("@LIBRARY@", repr(str(file)))
    (tmp_path / "test_trip.py").write_text(grader, encoding="utf-8")
    reports = grade(
        small_course(["trip"], test_seconds=30),
        [submission(name, {"work.py": text}) for name, text in sources.items()],
        tmp_path,
    )
    tests = {name: report.exercises[0].tests[0] for name, report in reports.items()}
    ended = {name: (test.outcome.value, test.message) for name, test in tests.items()}
    names = "your code looked up more than 500 names of files: decode from the message alone"
    pages = "your code reads files from the disk: decode from the message alone"
    assert ended["honest"] == ended["once"] == ("passed", "")
    assert {name: ended[name] for name in LIBRARIES} == dict.fromkeys(LIBRARIES, ("passed", ""))
    refused = ["at import", *LOOKS]
    assert {name: ended[name] for name in refused} == dict.fromkeys(refused, ("refused", names))
    if read_from_disk(file) > MAX_READ_BYTES:
        assert ended["disk"] == ("refused", pages)


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
