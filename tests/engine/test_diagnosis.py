"""Which known mistake explains failed checks, and what is said of graders that are at fault."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from autograder.engine.judge.clock import Clock
from autograder.engine.judge.diagnosis import (
    Attempt,
    Departed,
    Raised,
    Transcript,
    always_one_answer,
    diagnose,
    same,
    same_results,
    sentences,
)
from autograder.engine.judge.exercise_run import ExerciseRun, SubmissionRun
from autograder.engine.judge.mistakes import Mistake
from autograder.engine.judge.processes import ExitStatus
from autograder.engine.judge.student import Student, TimedOut
from autograder.errors import EngineError
from autograder.graders.toolkit import Handle, StudentError
from autograder.records import Outcome, Report
from shared.records import LayerCost
from tests.support import exercise, grade, small_course, submission

# ---- choosing ------------------------------------------------------------------------------------


def attempt(result: object, failed: bool | None, check: str = "") -> Attempt:
    return Attempt(check, failed, Transcript([result]))


@dataclass
class Bank:
    """Mistakes by name, and what each gives in the checks 0, 1, …; the right result is 0."""

    results: dict[str, tuple[int, ...]]
    replays: list[tuple[str, int]] = field(default_factory=list)

    def named(self, student: tuple[int, ...], stated: bool = False) -> dict[int, str]:
        """What is found; with `stated`, each mistake says which checks it fails."""
        self.replays.clear()
        mistakes = [
            Mistake(name, name, "", fails_of(values) if stated else None)
            for name, values in self.results.items()
        ]
        attempts = [attempt(value, value != 0, str(i)) for i, value in enumerate(student)]

        def replay(mistake: Mistake, index: int, like: Transcript | None) -> Attempt:
            del like
            self.replays.append((mistake.name, index))
            value = self.results[mistake.sentence][index]
            return attempt(value, value != 0)

        found = diagnose(attempts, mistakes, replay)
        return {index: mistake.sentence for index, mistake in found.items()}


def fails_of(values: Iterable[int]) -> frozenset[str]:
    return frozenset(str(index) for index, value in enumerate(values) if value != 0)


def test_the_mistake_that_explains_all_failures_is_named() -> None:
    bank = Bank({"twice": (2, 2, 0), "half": (5, 5, 0)})
    assert bank.named((2, 2, 0)) == {0: "twice", 1: "twice"}
    assert bank.named((0, 0, 0)) == {}
    assert bank.named((7, 7, 0)) == {}


def test_a_mistake_that_would_fail_a_passed_check_is_not_the_students() -> None:
    assert Bank({"twice": (2, 2, 2)}).named((2, 2, 0)) == {}


def test_two_mistakes_of_one_exercise_are_both_named() -> None:
    bank = Bank({"twice": (2, 2, 0, 0), "sign": (0, 0, 3, 0)})
    assert bank.named((2, 2, 3, 0)) == {0: "twice", 1: "twice", 2: "sign"}
    assert bank.named((2, 9, 3, 9)) == {0: "twice", 2: "sign"}


@dataclass(frozen=True)
class Pair:
    left: float
    right: torch.Tensor


@pytest.mark.parametrize(
    "results",
    [
        [0, 0.0, False, torch.zeros(2, 3), np.zeros(2, np.int8)],
        [[0.0, 0], {"a": 0, "b": [0]}, ()],
        [None, None],
        [Raised("IndexError", False), Raised("IndexError", False)],
        [Pair(1.0, torch.ones(2)), 1],
        [float("nan"), torch.full((2,), torch.nan), np.full(2, np.nan)],
        [torch.ones(2, dtype=torch.bfloat16, requires_grad=True), torch.tensor(1 + 0j)],
        [torch.zeros(0), []],
        ["a", "a", Handle("a", "A")],
    ],
)
def test_code_that_always_gives_one_answer(results: list[object]) -> None:
    assert always_one_answer([Transcript(results[:1]), Transcript(), Transcript(results[1:])])


@pytest.mark.parametrize(
    "results",
    [
        [0],
        [Handle("a", "A"), 0],
        [0, 1],
        [[0, 1], [0, 1]],
        [torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])],
        [np.array([0.0, np.nan]), 0],
        [torch.tensor([np.nan, 0.0]), float("nan")],
        [0, Raised("IndexError", False)],
        [Raised("ValueError", True), Raised("IndexError", False)],
        [Pair(0.0, torch.ones(2)), 0],
        [nn.Linear(2, 2), nn.Linear(2, 2)],
        [None, 0],
    ],
)
def test_code_that_answers(results: list[object]) -> None:
    assert not always_one_answer([Transcript(results)])


def test_one_answer_to_everything_has_a_cause_that_explains_all() -> None:
    assert Bank({"twice": (2, 0, 0)}).named((2, 2, 0)) == {0: "twice"}
    assert Bank({"twice": (2, 2, 0)}).named((2, 2, 2)) == {}
    assert Bank({"twice": (2, 2, 2)}).named((2, 2, 2)) == dict.fromkeys(range(3), "twice")


def test_of_two_that_look_alike_neither_is_named() -> None:
    bank = Bank({"one": (2, 0), "other": (2, 0)})
    assert bank.named((2, 0)) == {}
    assert Bank({"one": (2, 4), "other": (2, 0)}).named((2, 4)) == {0: "one", 1: "one"}
    bank = Bank({"one": (2, 3, 0), "other": (2, 0, 4)})  # each explains one check more
    assert bank.named((2, 3, 4)) == {0: "one", 1: "one", 2: "other"}


def test_the_mistake_that_explains_more_comes_first() -> None:
    bank = Bank({"part": (2, 0, 0), "whole": (2, 3, 0)})
    assert bank.named((2, 3, 0)) == {0: "whole", 1: "whole"}


def test_without_time_nothing_is_named() -> None:
    assert diagnose([attempt(1, True)], [Mistake("m", "m", "")], lambda *_: None) == {}


def test_a_replay_goes_on_while_it_is_like_the_check() -> None:
    known = Transcript([torch.ones(2), 2.0])
    replay = Transcript(like=known)
    for result in (torch.ones(2), 2.0):
        replay.go_on()
        replay.add(result, 8)
    replay.go_on()


def test_what_a_replay_forgets_is_compared_again() -> None:
    known = Transcript([1, 2, 3])
    replay = Transcript(like=known)
    for result in (1, 2):
        replay.add(result, 8)
        replay.go_on()
    replay.forget(1)
    replay.go_on()
    replay.add(9, 8)
    with pytest.raises(Departed):
        replay.go_on()
    replay.forget(1)
    for result in (2, 3):
        replay.add(result, 8)
        replay.go_on()
    assert same_results(known, replay)


def test_a_student_forgets_what_itself_was_given() -> None:
    transcript = Transcript([1])
    workers: Any = SimpleNamespace(main_worker=None)
    student = Student(workers, Clock(1.0, 1.0), transcript)
    transcript.add(2, 8)
    student.forget()
    assert transcript.results == [1]


@pytest.mark.parametrize(
    "results", [[torch.zeros(2)], [torch.ones(2), 3.0], [torch.ones(2), 2.0, 2.0], [1]]
)
def test_a_replay_ends_before_the_call_after_the_first_difference(results: list[object]) -> None:
    replay = Transcript(like=Transcript([torch.ones(2), 2.0]))
    for result in results[:-1]:
        replay.add(result, 8)
        replay.go_on()
    replay.add(results[-1], 8)
    with pytest.raises(Departed):
        replay.go_on()
    alone = Transcript(results)
    alone.go_on()


def test_a_replay_whose_results_are_lost_ends() -> None:
    replay = Transcript(like=Transcript([1]))
    replay.fail(TimedOut("too long"))
    with pytest.raises(Departed):
        replay.go_on()


def test_partial_credit_and_lost_workers_are_not_explained() -> None:
    lost = Transcript()
    lost.fail(TimedOut("too long"))
    attempts = [attempt(1, None), Attempt("", True, lost)]
    mistakes = [Mistake("m", "m", "")]
    assert diagnose(attempts, mistakes, lambda _, index, __: attempts[index]) == {}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.data())
def test_whatever_is_named_gave_the_same_and_fails_nothing_that_passes(
    student: list[int], data: st.DataObject
) -> None:
    one = st.tuples(*[st.integers(0, 3)] * len(student))
    bank = Bank(data.draw(st.dictionaries(st.sampled_from("abcd"), one)))
    for index, name in bank.named(tuple(student)).items():
        gives = bank.results[name]
        assert gives[index] == student[index] != 0
        assert all(given == 0 for given, own in zip(gives, student, strict=True) if own == 0)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.data())
def test_what_is_stated_of_a_mistake_saves_replays_and_changes_nothing(
    student: list[int], data: st.DataObject
) -> None:
    one = st.tuples(*[st.integers(0, 3)] * len(student))
    bank = Bank(data.draw(st.dictionaries(st.sampled_from("abcd"), one)))
    found = bank.named(tuple(student))
    tried = list(bank.replays)
    assert bank.named(tuple(student), stated=True) == found
    assert set(bank.replays) <= set(tried)
    assert all(bank.results[name][index] != 0 for name, index in bank.replays)


def test_a_mistake_is_not_tried_on_a_check_that_it_is_not_stated_to_fail() -> None:
    bank = Bank({"twice": (2, 2, 0), "half": (0, 5, 5)})
    assert bank.named((2, 2, 0), stated=True) == {0: "twice", 1: "twice"}
    assert sorted(bank.replays) == [("twice", 0), ("twice", 1)]


def test_a_sentence_stands_once_and_says_how_far_it_reaches() -> None:
    twice, sign = Mistake("twice", "twice", ""), Mistake("sign", "sign", "")
    assert sentences({0: twice, 2: twice, 3: sign}, 5) == {
        0: "A known mistake: twice 2 of 5 checks fail because of it.",
        2: "because of the same mistake",
        3: "A known mistake: sign",
    }


# ---- comparing -----------------------------------------------------------------------------------

DIFFERENT = [
    (1, 1.0),
    (1, True),
    (1.0, 1.001),
    (0.0, 1e-5),
    ("a", "b"),
    (None, 0),
    ([1], (1,)),
    ([1, 2], [1]),
    ({"a": 1}, {"b": 1}),
    (torch.zeros(2), torch.zeros(3)),
    (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
    (torch.tensor([1.0, 1e-9]), torch.tensor([1.01, 1e-9])),
    (torch.tensor([1e-20]), torch.tensor([2e-20])),
    (torch.tensor([True]), torch.tensor([False])),
    (np.zeros(2, "f4"), np.zeros(2, "f8")),
    (nn.Linear(2, 2), nn.Linear(2, 2, bias=False)),
    (Handle("h1", "Counter"), 3),
    (float("inf"), float("-inf")),
]
ALIKE = [
    (1.0, 1.0 + 1e-7),
    (float("nan"), float("nan")),
    (float("inf"), float("inf")),
    ([1, {"a": torch.ones(2)}], [1, {"a": torch.ones(2) + 1e-7}]),
    (torch.tensor([float("nan"), 1.0]), torch.tensor([float("nan"), 1.0])),
    (torch.zeros(0), torch.zeros(0)),
    (LayerCost("a", "Linear", 1, 2, (3,)), LayerCost("a", "Linear", 1, 2, (3,))),
    (Handle("h1", "Counter"), Handle("h2", "Tally")),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_results(one: object, other: object) -> None:
    assert not same(one, other)
    assert not same(other, one)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_results_that_agree(one: object, other: object) -> None:
    assert same(one, other)


def test_transcripts() -> None:
    error, other = Transcript(), Transcript()
    error.fail(StudentError("ValueError", is_value_error=True))
    other.fail(StudentError("TypeError"))
    assert same_results(error, error)
    assert not same_results(error, other)
    assert not same_results(Transcript([1]), Transcript([1, 2]))
    large = Transcript()
    large.add(1, 65 << 20)
    assert not large.complete
    assert large.results == []
    assert not same_results(large, large)


# ---- through the engine --------------------------------------------------------------------------

SOLUTION = """
def scale(values, factor=2):
    if factor < 0:
        raise ValueError("factor")
    return [factor * value for value in values]
"""
GRADERS = """
from autograder.graders.toolkit import Exercise, agreements, case

def slowly(values, factor=2):
    return [sum([value] * factor) for value in values]

scale = Exercise(
    "s1.scale",
    reference=slowly,
    agreement=agreements.listed(agreements.whole_number),
)

@scale.check(weight=2)
def test_values(rng):
    '''Every value is multiplied by the factor.'''
    for _ in range(3):
        yield case([rng.integer(5, 9) for _ in range(3)], rng.integer(4, 7))

@scale.check()
def test_default(rng):
    '''The factor is 2 by default.'''
    yield case([rng.integer(5, 9)])

test_refuses = scale.refuses(case([1], -2), title="Negative factors raise ValueError.")
"""
ADDED = """
'''The factor was added: multiply by it.

Not for the student.
'''

def scale(values, factor=2):
    if factor < 0:
        raise ValueError("factor")
    return [factor + value for value in values]
"""
MISTAKES = {
    "scale__added": ADDED,
    "scale__default": """
'''The default factor is 2, not 1.'''

def scale(values, factor=1):
    if factor < 0:
        raise ValueError("factor")
    return [factor * value for value in values]
""",
    "scale__unchecked": """
'''Negative factors were accepted.'''

def scale(values, factor=2):
    return [factor * value for value in values]
""",
    "other__thing": "no Python, and of another exercise",
}


def graded(
    tmp_path: Path,
    code: str,
    graders: str = GRADERS,
    solution: str = SOLUTION,
    mistakes: Mapping[str, str] = MISTAKES,
) -> Report:
    (tmp_path / "test_scale.py").write_text(textwrap.dedent(graders))
    (tmp_path / "mistakes").mkdir()
    for name, text in mistakes.items():
        (tmp_path / "mistakes" / f"{name}.py").write_text(text.lstrip())
    work = submission("ada", {"work.py": textwrap.dedent(code)})
    files = {"work.py": solution.encode()} if solution else {}
    return grade(small_course(["scale"]), [work], tmp_path, solution=files)["ada"]


def messages(report: Report) -> dict[str, str]:
    return {test.name: test.message for test in exercise(report, "scale").tests}


@pytest.mark.slow
def test_the_solution_passes_and_hears_nothing(tmp_path: Path) -> None:
    report = graded(tmp_path, SOLUTION)
    assert report.points == report.maximum
    assert set(messages(report).values()) == {""}
    titles = [test.title for test in exercise(report, "scale").tests]
    assert titles[0] == "Every value is multiplied by the factor."
    assert [test.weight for test in exercise(report, "scale").tests] == [2, 1, 1]
    assert [test.guard for test in exercise(report, "scale").tests] == [False, False, True]


@pytest.mark.slow
def test_known_mistakes_written_in_another_way_are_named_once(tmp_path: Path) -> None:
    report = graded(
        tmp_path,
        """
        import operator
        def scale(values, factor=2):
            if not factor >= 0:
                raise ValueError(factor)
            return list(map(lambda value: operator.add(value, factor), values))
        """,
    )
    assert messages(report) == {
        "test_values": "A known mistake: The factor was added: multiply by it. "
        "2 of 2 checks fail because of it.",
        "test_default": "because of the same mistake",
        "test_refuses": "",
    }


@pytest.mark.slow
def test_two_mistakes_are_told_apart(tmp_path: Path) -> None:
    report = graded(tmp_path, "def scale(values, factor=1): return [v * factor for v in values]")
    assert messages(report) == {
        "test_values": "",
        "test_default": "A known mistake: The default factor is 2, not 1.",
        "test_refuses": "A known mistake: Negative factors were accepted.",
    }


HARMFUL = {
    "ends_it": "import os\n\ndef scale(values, factor=2):\n    os._exit(1)\n",
    "cannot_be_loaded": "raise OSError\n\ndef scale(values, factor=2):\n    pass\n",
    "seeds": (
        "import torch\n\ndef scale(values, factor=2):\n    torch.manual_seed(0)\n    return []\n"
    ),
    "keeps_something": "def scale(values, factor=2):\n    KEPT.append(9)\n    return KEPT\n",
    "leaves_a_file": (
        "from pathlib import Path\n\ndef scale(values, factor=2):\n"
        "    Path('kept').write_text('9')\n    Path('folder').mkdir()\n    return []\n"
    ),
    "changes_a_global": (
        "import torch\n\ndef scale(values, factor=2):\n"
        "    torch.set_default_dtype(torch.float64)\n    return []\n"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("harmful", HARMFUL)
def test_a_mistake_that_was_tried_before_does_not_show(tmp_path: Path, harmful: str) -> None:
    """Known mistakes are tried in one worker: what one does to it may not reach the next."""
    noisy = """
        from pathlib import Path

        import torch

        def scale(values, factor=2):
            if factor < 0:
                raise ValueError("factor")
            values = KEPT + values + list(Path.cwd().iterdir())
            return [factor * value + int(10 * torch.rand(())) for value in values]
    """
    mistakes = {f"scale__a{n}": f"'''Before.'''\n{HARMFUL[harmful]}" for n in range(2)}
    mistakes["scale__noise"] = "'''Noise was added.'''\n" + textwrap.dedent(noisy)
    report = graded(
        tmp_path,
        "KEPT = []\n" + textwrap.dedent(noisy),
        solution="KEPT = []\n" + SOLUTION.replace("in values]", "in KEPT + values]"),
        mistakes=mistakes,
    )
    assert messages(report)["test_values"].startswith("A known mistake: Noise was added.")


def test_a_worker_that_was_handed_on_is_closed_also_if_no_check_asks_for_it() -> None:
    """A check may ask for fresh workers only."""
    closed: list[str] = []

    def close() -> ExitStatus:
        closed.append("closed")
        return ExitStatus(0)

    used: Any = SimpleNamespace(ended=None, close=close)
    job: Any = SimpleNamespace(limits=SimpleNamespace(exercise_seconds=1.0))
    run = SubmissionRun(submission("ada", {}), deadline=1.0, started=0.0, sources={})
    exercise_run = ExerciseRun(cast(Any, None), run, job, cast(Any, None), 0.0, used)
    exercise_run.end_test()
    assert exercise_run.handed_over() is used
    assert closed == []
    exercise_run.close()
    assert closed == ["closed"]


@pytest.mark.slow
@pytest.mark.parametrize("solution", [SOLUTION, ""])
def test_what_no_known_mistake_explains_states_the_fact(tmp_path: Path, solution: str) -> None:
    code = "def scale(values, factor=2): return [v * factor + (v > 6) for v in values] + [0]"
    report = graded(tmp_path, code, solution=solution)
    said = messages(report)
    assert said["test_values"] == "scale should have 3 entries, yours has 4"
    if not solution:
        assert said["test_refuses"].startswith("scale should raise ValueError for a bad argument")


@pytest.mark.slow
def test_inputs_and_expected_values_stay_hidden(tmp_path: Path) -> None:
    report = graded(tmp_path, "def scale(values, factor=2): return [0 for v in values]")
    assert messages(report)["test_values"] == "all of 3 values are not right"


@pytest.mark.slow
def test_a_public_check_shows_call_expected_and_actual_value(tmp_path: Path) -> None:
    graders = """
    from autograder.graders.toolkit import Exercise, agreements, case
    scale = Exercise("s1.scale", agreement=agreements.listed(agreements.whole_number))

    @scale.check(visibility="visible")
    def test_by_hand():
        '''Three times 2 is 6.'''
        yield case([2], factor=3).gives([6])
    """
    code = "def scale(values, factor=2): return [5]"
    report = graded(tmp_path, code, graders, solution="")
    assert messages(report) == {
        "test_by_hand": "the value is not right\ncall: scale([2], factor=3)\n"
        "expected: [6]\nactual: [5]"
    }


FAULTS = {
    r":\d+: no Python": ADDED + "    +",
    ":1: expected a docstring": ADDED.replace("'''", "#").replace("Not for", "# Not for"),
    ":1: expected a definition of scale": ADDED.partition("def")[0],
    r":\d+: the mistake is the solution itself": ADDED.replace("factor + value", "factor * value"),
}


@pytest.mark.slow
@pytest.mark.parametrize("reason", FAULTS)
def test_a_mistake_that_cannot_be_made_is_found_first(tmp_path: Path, reason: str) -> None:
    with pytest.raises(EngineError, match=rf"mistakes/scale__added\.py{reason}"):
        graded(tmp_path, SOLUTION, mistakes={"scale__added": FAULTS[reason]})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("sum([value] * factor)", "value / 0 * factor", "ZeroDivisionError"),
        ("range(3):\n        yield", "range(0):\n        yield", "the check has no cases"),
        ("    agreement=agreements.listed(agreements.whole_number),\n", "", "need an agreement"),
        ("    reference=slowly,\n", "", "needs a reference"),
    ],
    ids=["the reference raises", "no case", "no agreement", "no reference"],
)
def test_a_faulty_check_is_ours_and_says_where(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in GRADERS
    report = graded(tmp_path, SOLUTION, GRADERS.replace(old, new, 1))
    (values, *_) = exercise(report, "scale").tests
    assert values.outcome is Outcome.TOOL_ERROR
    assert reason in values.detail
    assert "test_scale.py:" in values.detail.splitlines()[0]


# ---- files ---------------------------------------------------------------------------------------


def test_of_a_file_only_what_is_measured_counts() -> None:
    """Two exporters write one network differently; what both files compute tells a mistake."""
    transcripts = []
    for content, measured in ((b"one", 3.0), (b"another", 3.0), (b"one", 4.0)):
        transcript = Transcript()
        transcript.add(content, len(content))
        transcript.is_file()
        transcript.add(measured, 8)
        transcripts.append(transcript)
    first, second, third = transcripts
    assert same_results(first, second)
    assert not same_results(first, third)
