"""The benchmarks run and tell the truth; without the peers, and without asserting any time."""

import os
import subprocess
import sys
import types
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.course import Session
from benchmarks import (
    attacks,
    common,
    container,
    labs,
    nbgrader_class,
    peers,
    profilers,
    table_huffman,
    throughput,
)
from benchmarks.attacks import ATTACKS, MARK, verdict
from benchmarks.common import CHECKS, MODULE, SOLUTION, WRONG, Run
from benchmarks.stages import STAGES, Counters
from tests import bank

FINE = Run(status=0, output="", wall=1.0, cpu=0.5, peak=1 << 20)


def passed(source: str) -> list[str]:
    """Names of the checks that a module passes, evaluated here without any grader."""
    names = {"torch": torch}
    exec(source, names)
    good = []
    for check in CHECKS:
        exec(check.call.format(m=""), names)
        if eval(check.condition, names):
            good.append(check.name)
    return good


def test_the_right_module_passes_every_check_and_the_wrong_one_none() -> None:
    assert passed(SOLUTION) == [check.name for check in CHECKS]
    assert passed(WRONG) == []


def test_every_grader_is_given_the_same_checks(tmp_path: Path) -> None:
    peers.Kit().prepare(tmp_path)
    graders = (tmp_path / "graders" / "test_light.py").read_text(encoding="utf-8")
    for check in CHECKS:
        assert check.condition in graders
        assert check.condition in peers.unittest_file()


@pytest.mark.parametrize("name", ["this kit", "flop-counter"])
def test_profilers_are_judged_by_the_published_table(name: str) -> None:
    entries = profilers.entries_of(["squeezenet1_1"])
    tally = profilers.measure(profilers.PROFILERS[name], entries, lambda _: None)
    assert (tally.right, tally.wrong, tally.failed) == (1, [], [])
    double = profilers.Profiler(lambda *_: (0.7, 1), "meta")
    assert len(profilers.measure(double, entries, lambda _: None).wrong) == 1


def solution_coding() -> Any:
    """The solution's module `coding`, which imports no other of its session."""
    path = common.ROOT / "solutions" / "s3_weight_clustering" / "coding.py"
    module = types.ModuleType("coding")
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


@given(st.lists(st.integers(-3, 12) | st.integers(), max_size=300))
@settings(max_examples=40)
def test_the_table_reads_what_bits_one_by_one_give(symbols: list[int]) -> None:
    coding = solution_coding()
    assert table_huffman.decode(coding, coding.huffman_encode(symbols)) == symbols


@given(st.lists(st.integers(0, 9), max_size=200), st.integers(0, 7))
@settings(max_examples=40)
def test_the_table_leaves_unused_words_and_padding_alone(ranks: list[int], extra: int) -> None:
    words = solution_coding()._canonical([2, 3, 3, 3, 4, 4, 4, 4, 5, 5])  # not all of 5 bits
    bits = "".join(words[rank] for rank in ranks) + "1" * extra
    packed = bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))
    assert table_huffman.decode_ranks(words, packed, len(ranks)).tolist() == ranks


def test_a_lab_sheet_without_a_choice_is_run_as_it_is() -> None:
    sheet = common.ROOT / "solutions" / "s3_weight_clustering" / "lab.py"
    compile(labs.script(sheet, None), "s3", "exec")
    with pytest.raises(ValueError, match="DATASET"):
        labs.script(sheet, "mnist")


@pytest.mark.parametrize("session", ["s1_intro", "s2_quantization_pruning"])
def test_lab_sheets_run_on_any_of_their_data_sets(session: str) -> None:
    text = labs.script(common.ROOT / "solutions" / session / "lab.py", "mnist")
    assert '\nDATASET = "mnist"' in text
    assert "\n# %matplotlib" not in text
    compile(text, session, "exec")


def test_attacks_have_names_of_their_own_and_do_not_hold_the_mark() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 15
    for attack in ATTACKS:
        for text in attack.submission.values():
            compile(text, attack.name, "exec") if "[pytest]" not in text else None
            assert MARK not in text


@pytest.mark.parametrize(
    ("points", "output", "done", "right", "expected"),
    [
        (0.0, "", FINE, 4.0, "held"),
        (None, "", FINE, 4.0, "held"),
        (3.0, "", FINE, 4.0, "forged 3/4"),
        (0.0, MARK, FINE, 4.0, "read"),
        (0.0, "", FINE, None, "stopped the batch"),
        (0.0, "", Run(None, "", 1.0, 1.0, 1), 4.0, "stopped the batch"),
        (4.0, MARK, Run(0, "", 1.0, 1.0, 1, 0, 2), 4.0, "forged 4/4, read, leftover"),
    ],
)
def test_verdicts(
    points: float | None, output: str, done: Run, right: float | None, expected: str
) -> None:
    assert verdict(points, output, done, right) == expected


def test_cost_refuses_a_grader_that_graded_wrongly() -> None:
    with pytest.raises(RuntimeError, match="student0000"):
        throughput.cost("some", peers.Graded({"student0000": 3.0}, [FINE]))


def test_cost_adds_up_and_leaves_start_up_out_of_the_marginal() -> None:
    graded = peers.Graded(dict.fromkeys("abc", 4.0), [Run(0, "", 9.0, 6.0, 5)])
    cost = throughput.cost("some", graded, start_up=5.0)
    assert (cost.seconds, cost.marginal, cost.cpu) == (3.0, 2.0, 6.0)


@pytest.mark.skipif(sys.platform != "linux", reason="measures Linux processes")
class TestRun:
    """`common.run` in a process of its own, for it adopts orphans."""

    def printed(self, program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=common.ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def outcome(self, code: str, tmp_path: Path, **options: object) -> Run:
        text = (
            f"from pathlib import Path; from benchmarks import common\n"
            f"done = common.run([{sys.executable!r}, '-c', {code!r}], cwd=Path({str(tmp_path)!r}),"
            f" **{options!r})\nprint(repr(done))"
        )
        outcome: Run = eval(self.printed(text), {"Run": Run})
        return outcome

    def test_status_and_output(self, tmp_path: Path) -> None:
        done = self.outcome("print('hello'); raise SystemExit(3)", tmp_path)
        assert (done.status, done.output.strip(), done.orphans) == (3, "hello", 0)

    def test_what_hangs_is_killed_and_told(self, tmp_path: Path) -> None:
        assert self.outcome("while True: pass", tmp_path, timeout=1.0).timed_out

    def test_pinned(self, tmp_path: Path) -> None:
        cpu = common.processors()[0]
        code = "import os; print(os.sched_getaffinity(0))"
        assert self.outcome(code, tmp_path, cpu=cpu).output.strip() == str({cpu})

    def test_an_orphan_is_counted_and_ended(self, tmp_path: Path) -> None:
        code = (
            "import subprocess as s; p = s.Popen(['sleep', '60'], start_new_session=True); "
            "print(p.pid)"
        )
        done = self.outcome(code, tmp_path)
        assert done.orphans == 1
        with pytest.raises(ProcessLookupError):
            os.kill(int(done.output), 0)

    def test_a_child_of_the_callers_own_is_left_alone(self, tmp_path: Path) -> None:
        text = (
            "import subprocess, sys\nfrom pathlib import Path\nfrom benchmarks import common\n"
            "own = subprocess.Popen(['sleep', '60'])\n"
            f"done = common.run([sys.executable, '-c', ''], cwd=Path({str(tmp_path)!r}))\n"
            "print(own.poll(), done.status, done.orphans)\nown.kill()\nown.wait()"
        )
        assert self.printed(text).split() == ["None", "0", "0"]

    def test_memory_is_seen_with_and_without_pages_of_files(self, tmp_path: Path) -> None:
        code = "import time; kept = bytearray(b'x') * (64 << 20); time.sleep(0.5)"
        done = self.outcome(code, tmp_path, sample=True, period=0.05)
        assert 64 << 20 <= done.own < done.total < 1 << 30


class TestClass:
    """The class that nbgrader and a batch run grade."""

    session = bank.course().session("s1")

    def test_it_is_mixed_and_no_two_are_equal(self) -> None:
        members = list(nbgrader_class.members(self.session, 20))
        kinds = Counter(student.rstrip("0123456789") for student, _ in members)
        assert kinds == {"right": 10, "wrong": 8, "blank": 2}
        assert len({tuple(sorted(modules.items())) for _, modules in members}) == 20
        for _, modules in members:
            assert modules.keys() == set(self.session.required_files)

    @pytest.mark.parametrize("sheet", nbgrader_class.SHEETS)
    def test_a_sheet_is_handed_in_as_asked(self, tmp_path: Path, sheet: str) -> None:
        released = tmp_path / "released"
        released.mkdir()
        asked = nbformat.v4.new_markdown_cell("why?", metadata={"nbgrader": {"solution": True}})
        code = nbformat.v4.new_code_cell("train()")
        nbformat.write(nbformat.v4.new_notebook(cells=[asked, code]), released / "lab.ipynb")
        (released / "work.py").write_text("blank")
        nbgrader_class.hand_in(released, tmp_path / "in", {"work.py": "own"}, sheet)
        assert (tmp_path / "in" / "work.py").read_text() == "own"
        lab = tmp_path / "in" / "lab.ipynb"
        cells = nbformat.read(lab, as_version=4).cells if lab.exists() else []
        assert len(cells) == {"none": 0, "questions": 1, "whole": 2}[sheet]

    def test_gradebooks_that_differ_are_told(self) -> None:
        one = {("ada", "s1-a"): 1.0, ("bob", "s1-a"): None}
        assert nbgrader_class.differences(one, dict(one)) == []
        other = {("ada", "s1-a"): 2.0, ("carl", "s1-a"): 1.0}
        lines = nbgrader_class.differences(one, other)
        assert [line.partition(",")[0] for line in lines] == ["ada", "carl"]


@pytest.mark.slow
@pytest.mark.parametrize("session", bank.course().sessions, ids=lambda session: session.id)
def test_every_session_has_submissions_for_the_container(session: Session) -> None:
    kinds = container.submissions(session)
    assert "right" in kinds
    assert len({tuple(sorted(files.items())) for files in kinds.values()}) == len(kinds)
    assert kinds["right"].keys() == set(session.required_files)


def test_counters_add_up_across_forks() -> None:
    counters = Counters()
    counters.add(STAGES[0], 1.0, 0.5)
    child = os.fork()
    if child == 0:
        counters.add(STAGES[0], 2.0, 0.25)
        os._exit(0)
    os.waitpid(child, 0)
    assert counters.read()[STAGES[0]] == (3.0, 0.75, 2)


@pytest.mark.slow
def test_this_kit_grades_holds_and_tells_its_stages(tmp_path: Path) -> None:
    kit = peers.Kit(tmp_path / "stages.json")
    kit.prepare(tmp_path)
    files = {
        "right": {f"{MODULE}.py": SOLUTION},
        "exit": attacks.Attack("exit", "import os\nos._exit(0)\n").submission,
    }
    graded = kit.grade(tmp_path, files, None, 120.0)
    assert graded.points == {"right": 4.0, "exit": 0.0}, graded.runs[0].output
    assert (tmp_path / "stages.json").exists()


@pytest.mark.slow
def test_a_leak_and_a_forgery_would_be_seen() -> None:
    leak = attacks.Attack("leak", "print('LEA' + 'KED:' + 'x')\n")
    earned = attacks.Attack("earned", SOLUTION)
    verdicts = attacks.run_attacks(peers.Kit(), [leak, earned])
    assert verdicts == {"leak": "read", "earned": "forged 4/4"}
