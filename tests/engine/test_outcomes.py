"""Every outcome of the enumeration, through the real engine: zygote, workers and judge."""

import re
import textwrap
from pathlib import Path

import pytest

from autograder.engine.job import grader_faults
from autograder.engine.judge.explain import explain
from autograder.errors import EngineError
from autograder.graders.toolkit.failures import StudentError
from autograder.records import Outcome, Report
from tests.support import exercise, grade, small_course, submission

pytestmark = pytest.mark.slow

GRADERS = Path(__file__).parent / "graders"
EXERCISES = ("add", "half", "count_calls", "train", "remember", "Counter", "accumulate", "echo")
RIGHT = """
    import torch

    def add(a, b):
        if a.shape != b.shape:
            raise ValueError("shapes differ")
        return a + b

    def half(number):
        return number / 2

    def count_calls(function):
        return sum(function(i) for i in range(5))

    def train(model, batch, loss_fn, optimizer):
        images, targets = batch
        optimizer.zero_grad()
        loss_fn(model(images), targets).backward()
        optimizer.step()

    _kept = None

    def remember(value):
        global _kept
        if value is not None:
            _kept = value
        return _kept

    import dataclasses

    @dataclasses.dataclass
    class Counter:
        total: int = 0

        def add(self, number):
            self.total += number

    def accumulate(model):
        return model.bias.grad / 2

    def echo(value):
        return value
"""
BLANK = "\n".join(
    f"def {name}(*args):\n    raise NotImplementedError('s1.{name}')\n" for name in EXERCISES
)


def wrong(code: str) -> str:
    """The right module with some of its functions replaced."""
    return textwrap.dedent(RIGHT) + "\n" + textwrap.dedent(code)


SUBMISSIONS = {
    "right": {"work.py": RIGHT},
    "blank": {"work.py": BLANK},
    "missing": {},
    "partial": {"work.py": wrong("def half(n): return n")},
    "failing": {"work.py": wrong("def half(n): return -n")},
    "degenerate": {"work.py": wrong("def add(a, b): raise ValueError")},
    "wrong type": {"work.py": wrong("def half(n): return 'four'")},
    "silent": {"work.py": wrong("def count_calls(f): return None")},
    "raising": {"work.py": wrong("def half(n): return {}['x']")},
    "blocked": {"work.py": wrong("def half(n): raise NotImplementedError('s1.add')")},
    "unsupported": {
        "work.py": wrong("def half(n): raise NotImplementedError('abs is not implemented')")
    },
    "exiting": {"work.py": wrong("import os\ndef half(n): os._exit(0)")},
    "sys.exit": {"work.py": wrong("import sys\ndef half(n): sys.exit(0)")},
    "segfault": {"work.py": wrong("import ctypes\ndef half(n): ctypes.string_at(0)")},
    "endless": {"work.py": wrong("def half(n):\n    while True: pass")},
    "hungry": {"work.py": wrong("def half(n): return bytearray(3 << 30)[0]")},
    "too many calls": {"work.py": wrong("def count_calls(f): return sum(map(f, range(9)))")},
    "syntax": {"work.py": "def add(a, b:\n    return\n"},
    "import exits": {"work.py": "import os\nos._exit(1)\n"},
    "import hangs": {"work.py": "while True: pass\n"},
    "import raises": {"work.py": "raise RuntimeError('no\\x1b[31m')\n"},
    "no function": {"work.py": "def add(a, b): return a + b\n"},
    "noisy": {"work.py": wrong("def half(n):\n    print('x' * 10_000_000)\n    return 'no'")},
    "object": {"work.py": wrong("def half(n): return object()")},
    "signal 40": {"work.py": wrong("import os\ndef half(n): os.kill(os.getpid(), 40)")},
    "never silent": {
        "work.py": wrong(
            "def count_calls(f):\n"
            "    header = {'op': 'callback', 'id': f._worker._current, 'callback': f._number,\n"
            "              'args': [[0], {'$': 'dict', 'v': []}]}\n"
            "    while True:\n"
            "        f._worker._send(header, [])\n"
        )
    },
    "withheld": {"work.py": wrong("def half(n):\n    import shared.profiling\n    return n / 2")},
    "graders": {"work.py": wrong("def half(n):\n    import autograder.graders\n    return n / 2")},
}


@pytest.fixture(scope="module")
def reports() -> dict[str, Report]:
    course = small_course(EXERCISES, test_seconds=2, memory_mb=1024)
    submissions = [submission(name, files) for name, files in SUBMISSIONS.items()]
    return grade(course, submissions, GRADERS)


def test_every_submission_has_a_report(reports: dict[str, Report]) -> None:
    assert reports.keys() == SUBMISSIONS.keys()
    assert not any(report.has_tool_error for report in reports.values())


def test_right_earns_everything(reports: dict[str, Report]) -> None:
    messages = [t.message for e in reports["right"].exercises for t in e.tests if t.message]
    assert (reports["right"].points, messages) == (100.0, [])


def test_blank_is_blank_everywhere(reports: dict[str, Report]) -> None:
    assert reports["blank"].points == 0
    assert {e.outcome for e in reports["blank"].exercises} == {Outcome.BLANK}


@pytest.mark.parametrize(
    ("student", "outcome", "share"),
    [
        ("partial", Outcome.PARTIAL, 0.5),
        ("failing", Outcome.FAILED, 0.0),
        ("wrong type", Outcome.FAILED, 0.0),
        ("raising", Outcome.CRASHED, 0.0),
        ("blocked", Outcome.BLOCKED, 0.0),
        ("unsupported", Outcome.CRASHED, 0.0),
        ("exiting", Outcome.CRASHED, 0.0),
        ("sys.exit", Outcome.CRASHED, 0.0),
        ("segfault", Outcome.CRASHED, 0.0),
        ("signal 40", Outcome.CRASHED, 0.0),
        ("endless", Outcome.TIMED_OUT, 0.0),
        ("hungry", Outcome.OUT_OF_MEMORY, 0.0),
        ("object", Outcome.FAILED, 0.0),
        ("noisy", Outcome.FAILED, 0.0),
        ("withheld", Outcome.CRASHED, 0.0),
        ("graders", Outcome.REFUSED, 0.0),
    ],
)
def test_one_exercise_ends_alone(
    reports: dict[str, Report], student: str, outcome: Outcome, share: float
) -> None:
    result = exercise(reports[student], "half")
    assert result.outcome is outcome
    assert result.points == pytest.approx(share * result.maximum, abs=0.001)
    rest = 100 - result.maximum
    assert reports[student].points == pytest.approx(rest + result.points, abs=0.001)


@pytest.mark.parametrize("student", ["syntax", "import exits", "import hangs", "import raises"])
def test_a_module_that_cannot_be_imported_costs_all_of_it(
    reports: dict[str, Report], student: str
) -> None:
    assert reports[student].points == 0
    assert all("work.py" in t.message for e in reports[student].exercises for t in e.tests)


def test_a_missing_module_is_named(reports: dict[str, Report]) -> None:
    assert {e.outcome for e in reports["missing"].exercises} == {Outcome.MISSING}
    assert "work.py is missing" in reports["missing"].exercises[0].tests[0].message


def test_a_syntax_error_has_its_line(reports: dict[str, Report]) -> None:
    message = reports["syntax"].exercises[0].tests[0].message
    assert "SyntaxError" in message
    assert "work.py:1" in message


def test_a_missing_function_is_named(reports: dict[str, Report]) -> None:
    message = exercise(reports["no function"], "half").tests[0].message
    assert "work.py has no function half" in message


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("s2.quantize", Outcome.BLANK),
        ("s2.scale", Outcome.BLOCKED),
        ("s2.Observer.update", Outcome.BLOCKED),
        ("s2. of sparse tensors", Outcome.CRASHED),
    ],
)
def test_a_blank_is_told_by_the_id_that_it_raises(text: str, outcome: Outcome) -> None:
    assert explain(StudentError("NotImplementedError", text), "s2.quantize")[0] is outcome


def test_a_guard_counts_only_beside_a_value_check(reports: dict[str, Report]) -> None:
    result = exercise(reports["degenerate"], "add")
    assert {test.name: test.outcome for test in result.tests}["test_add_refuses"] == Outcome.PASSED
    assert result.points == 0


def test_a_callbacks_own_words_reach_the_student(reports: dict[str, Report]) -> None:
    assert "no more" in exercise(reports["too many calls"], "count_calls").tests[0].message


def test_a_worker_that_never_stops_talking_is_stopped(reports: dict[str, Report]) -> None:
    result = exercise(reports["never silent"], "count_calls")
    assert result.outcome in (Outcome.TIMED_OUT, Outcome.REFUSED)
    assert result.points == 0


def test_output_is_capped_and_kept_for_the_assistant(reports: dict[str, Report]) -> None:
    test = exercise(reports["noisy"], "half").tests[0]
    assert "xxx" in test.output
    assert len(test.output) < 100_000
    assert "xxx" not in test.message


def test_an_endless_exercise_is_tried_twice_at_most(reports: dict[str, Report]) -> None:
    assert reports["import hangs"].usage.seconds < 2 * 5


def test_usage_and_isolation_are_measured(reports: dict[str, Report]) -> None:
    usage = reports["right"].usage
    assert usage.workers >= len(EXERCISES)
    assert usage.peak_memory_bytes > 10 << 20
    assert 0 < usage.student_seconds < usage.seconds
    assert reports["right"].isolation.mechanisms


def test_the_same_seed_gives_the_same_draws_and_students_differ(tmp_path: Path) -> None:
    (tmp_path / "test_draws.py").write_text(
        "from autograder.graders.toolkit import exercise, fail\n"
        "@exercise('s1.add')\n"
        "def test_draw(student, rng):\n"
        "    fail(str(rng.normal(2).tolist()) + str(rng.integer(0, 10**9)))\n"
    )
    course = small_course(["add"])
    students = [submission("ada", {"work.py": "x = 1"}), submission("bob", {"work.py": "x = 1"})]

    def hints(secret: bytes) -> list[str]:
        graded = grade(course, students, tmp_path, secret=secret)
        return [graded[name].exercises[0].tests[0].message for name in ("ada", "bob")]

    first, again, other = hints(b"one"), hints(b"one"), hints(b"two")
    assert first == again
    assert first[0] != first[1]
    assert not set(first) & set(other)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nothing_like_this", r"test_broken.py:1: ModuleNotFoundError: .*nothing_like_this"),
        ("import math\n\nmath.no_such", r"test_broken.py:3: AttributeError: .*no_such"),
        ("x = 1\ndef broken(:", r"test_broken.py:2: SyntaxError: "),
        ("def test_x(student): pass", "is not in course.yaml"),
        (
            "from autograder.graders.toolkit import exercise\n"
            "@exercise('s1.typo')\n"
            "def test_x(student): pass",
            "'s1.typo' is not in course.yaml",
        ),
        ("", "no test for s1.add"),
    ],
)
def test_broken_graders_stop_the_batch_with_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "test_broken.py").write_text(text + "\n")
    with pytest.raises(EngineError, match=reason) as error:
        grade(small_course(["add"]), [submission("ada", {"work.py": ""})], tmp_path)
    assert "\n" not in str(error.value)
    assert "again" not in str(error.value)


def test_an_exercise_of_the_solution_may_be_left_out_of_the_course(tmp_path: Path) -> None:
    graders = "from autograder.graders.toolkit import exercise\n" + "".join(
        f"@exercise('s1.{name}')\ndef test_{name}(student): assert student.{name}(1, 1) == 2\n"
        for name in ("add", "lost")
    )
    (tmp_path / "test_work.py").write_text(graders)
    code = "def add(a, b):\n    return a + b\n"
    solution = f"{code}def lost(a, b):\n    # BEGIN SOLUTION s1.lost\n    return a + b\n"
    reports = grade(
        small_course(["add"]),
        [submission("ada", {"work.py": code})],
        tmp_path,
        solution={"work.py": solution.encode()},
    )
    assert [(e.id, e.outcome) for e in reports["ada"].exercises] == [("s1.add", Outcome.PASSED)]
    # students have no solution, and check with the same public tests
    reports = grade(
        small_course(["add"]), [submission("ada", {"work.py": code})], tmp_path, public=True
    )
    assert [(e.id, e.outcome) for e in reports["ada"].exercises] == [("s1.add", Outcome.PASSED)]


@pytest.mark.parametrize(
    ("signature", "line"),
    [("student", r"test_ours.py:4: ZeroDivisionError: division by zero"), ("studnet", "studnet")],
)
def test_a_fault_in_a_grader_is_reported_with_file_and_line(
    tmp_path: Path, signature: str, line: str
) -> None:
    (tmp_path / "test_ours.py").write_text(
        "from autograder.graders.toolkit import exercise\n"
        "@exercise('s1.add')\n"
        f"def test_ours({signature}):\n"
        "    1 / 0\n"
    )
    reports = grade(small_course(["add"]), [submission("ada", {"work.py": ""})], tmp_path)
    assert reports["ada"].has_tool_error
    test = reports["ada"].exercises[0].tests[0]
    (fault,) = grader_faults(reports["ada"])
    assert re.search(f"^fault in a grader: .*{line}", fault)
    assert str(tmp_path / "test_ours.py") in fault
    assert "does not help" in fault
    assert fault in test.detail
    assert "run it again" not in test.message
    assert str(tmp_path) not in test.message


def test_a_grader_that_fails_on_a_strange_value_is_the_students_failure(tmp_path: Path) -> None:
    (tmp_path / "test_strange.py").write_text(
        "from autograder.graders.toolkit import exercise\n"
        "@exercise('s1.add')\n"
        "def test_strange(student):\n"
        "    student.add().shape\n"
    )
    code = {"work.py": "def add(): return 3"}
    reports = grade(small_course(["add"]), [submission("ada", code)], tmp_path)
    assert reports["ada"].exercises[0].outcome is Outcome.FAILED


def test_spawned_workers_give_the_same_result() -> None:
    course = small_course(EXERCISES)
    students = [submission("right", {"work.py": RIGHT}), submission("blank", {"work.py": BLANK})]
    reports = grade(course, students, GRADERS, spawn=True)
    assert reports["right"].points == 100
    assert {e.outcome for e in reports["blank"].exercises} == {Outcome.BLANK}


@pytest.mark.parametrize(
    ("code", "names"),
    [
        (RIGHT, ["test_add", "test_add_refuses"]),
        (wrong("def add(a, b): return a + b"), ["test_add", "test_add_refuses"]),
        (wrong("def add(a, b): return a - b"), ["test_add"]),
    ],
)
def test_an_exercise_may_end_with_its_first_loss(code: str, names: list[str]) -> None:
    students = [submission("ada", {"work.py": code})]
    own = {students[0].slug: ("s1.add",)}
    course = small_course(EXERCISES)
    reports = grade(course, students, GRADERS, only_for=own, only_first_loss=True)
    (result,) = reports["ada"].exercises
    assert [test.name for test in result.tests] == names
    assert (result.points < result.maximum) == (code != RIGHT)
