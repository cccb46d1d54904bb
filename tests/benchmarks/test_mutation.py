"""The maker of mutants makes what it says, marks and verdicts are kept, and both judges judge."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

from benchmarks.common import ROOT
from benchmarks.mutation import __main__ as command
from benchmarks.mutation import modules, solutions
from benchmarks.mutation.mutants import Key, Mutant, mutants, normalized, sample
from benchmarks.mutation.operators import OPERATORS
from benchmarks.mutation.records import Verdicts, is_marked, read_marks, stale

MODULES = [
    "autograder/records/points.py",
    "autograder/project/rules.py",
    "solutions/s3_weight_clustering/coding.py",
]


def made(text: str, operator: str) -> set[tuple[str, str]]:
    """Before and after of every mutant that an operator makes."""
    every = mutants(textwrap.dedent(text), "x")
    return {(m.key.before, m.key.after) for m in every if m.operator == operator}


def after(text: str, operator: str) -> set[str]:
    return {new for _, new in made(text, operator)}


# ---- operators -----------------------------------------------------------------------------------

EXAMPLES: dict[str, list[tuple[str, set[str]]]] = {
    "arithmetic": [
        ("a + b", {"a - b"}),
        ("-a", {"a"}),
        ("a += b", {"a -= b"}),
        ("a % b", {"a // b"}),
    ],
    "comparison": [
        ("a < b", {"a <= b", "a >= b"}),
        ("a < b <= c", {"a <= b <= c", "a >= b <= c", "a < b < c", "a < b > c"}),
        ("a is not b", {"a is b"}),
    ],
    "connective": [
        ("a and b", {"a or b", "a", "b"}),
        ("a or b or c", {"a and b and c", "a or b", "a or c", "b or c"}),
        ("not a", {"a"}),
    ],
    "condition": [
        ("x = a if p() else b", {"x = a", "x = b", "x = a if not p() else b"}),
        ("if p():\n    q()", {"if not p(): ..."}),
        ("x = [a for a in b if a]", {"x = [a for a in b]"}),
    ],
    "constant": [
        ("x = 3", {"x = 4", "x = 2"}),
        ("x = 0", {"x = 1", "x = -1"}),
        ("x = 0.5", {"x = 1.0", "x = 0.25"}),
        ("x = True", {"x = False"}),
        ("x.sum(dim=1)", {"x.sum(dim=2)", "x.sum(dim=0)"}),
        ("x = a == 'b'", {"x = a == 'b_'"}),
        ("x = f('b', mode='c')", {"x = f('b', mode='c_')"}),
    ],
    "element": [
        ("x = {1, 2}", {"x = {1}", "x = {2}"}),
        ("x = {a: 1, b: c}", {"x = {a: 1}", "x = {b: c}"}),
        ("x = (a, b)", set()),
    ],
    "bound": [
        ("range(n)", {"range(n + 1)", "range(n - 1)"}),
        ("x[a:]", {"x[:]", "x[a + 1:]", "x[a - 1:]"}),
    ],
    "function": [
        ("min(a, b)", {"max(a, b)"}),
        ("x.floor()", {"x.round()"}),
        ("torch.zeros(n)", {"torch.ones(n)"}),
        ("round(x)", {"int(x)"}),
    ],
    "arguments": [
        ("f(a, b)", {"f(b, a)", "f(a)"}),
        ("f(a, dim=b)", {"f(a)"}),
        ("f(a, *b)", {"f(a)"}),
        ("max(a, b)", {"max(a)"}),
        ("f(a, a)", {"f(a)"}),
    ],
    "call": [
        ("y = x.clone()", {"y = x"}),
        ("y = abs(x)", {"y = x"}),
        ("x.clone()", set()),
        ("y = time.time()", set()),
    ],
    "statement": [
        ("f()", {"pass"}),
        ("x.y = 1", {"pass"}),
        ("x[0] = 1", {"pass"}),
        ("x = 1", set()),
        ("def f(x):\n    x = 1\n    y = 2\n    z = x + y", {"pass"}),
        ("for a in b:\n    continue", {"pass", "break"}),
        ("with a():\n    b = c", {"if True: ..."}),
        ("with a() as d:\n    b = c", set()),
    ],
    "result": [
        ("def f(a):\n    b = a\n    return b", {"return a"}),
        ("def f():\n    return (a, b)", {"return (b, a)"}),
        ("a, b = c", {"b, a = c"}),
        ("x = (1, 2)", {"x = (2, 1)"}),
        ("x = ('a', 'b')", set()),
    ],
}


@pytest.mark.parametrize(
    ("operator", "text", "expected"),
    [(name, *example) for name, examples in EXAMPLES.items() for example in examples],
)
def test_an_operator_changes_one_thing(operator: str, text: str, expected: set[str]) -> None:
    assert after(text, operator) == expected


def test_every_operator_has_examples() -> None:
    assert set(EXAMPLES) == set(OPERATORS)


# ---- all mutants of real modules -----------------------------------------------------------------


def every_mutant(path: str) -> list[Mutant]:
    return mutants((ROOT / path).read_text("utf-8"), path)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["autograder/project/costs.py", "solutions/s1_intro/metrics.py"])
def test_each_mutant_is_another_program_that_compiles(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    every = sample(mutants(text, path), 60, 0)
    original = ast.dump(ast.parse(text))
    dumps = [ast.dump(ast.parse(mutant.source())) for mutant in every]
    assert len(set(dumps)) > 50
    assert original not in dumps
    for mutant in every:
        compile(mutant.source(), path, "exec")
    fresh = sample(mutants(text, path), 1, 0)[0]
    assert fresh.source() == sample(every, 1, 0)[0].source()  # nothing was left changed
    assert ast.dump(ast.parse(normalized(text))) == original


@pytest.mark.parametrize("path", MODULES)
def test_keys_name_one_mutant_each_and_do_not_move_with_lines(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    every = [mutant.key for mutant in mutants(text, path)]
    assert len(set(every)) == len(every)
    moved = text.replace("\nfrom __future__", "\n\n# moved\n\nfrom __future__", 1)
    again = mutants(moved, path)
    assert [mutant.key for mutant in again] == every
    assert again[-1].line == mutants(text, path)[-1].line + 3


def test_words_types_and_imports_are_left_alone() -> None:
    text = '''
        """1 + 1"""
        from __future__ import annotations
        import a.b
        from c import d
        T = TypeVar("T", bound=1)
        F = Callable[[int, str], Literal[1, 2]]
        __all__ = ["x", "y"]

        @decorated(1 + 1, flag=True)
        def f(x: Literal[1] | None, *, y: Annotated[int, 1 + 1]) -> Literal[1, 2]:
            """1 + 1"""
            z: Literal[1, 2]
            assert x == 1

        class C:
            """1 + 1"""

            x: Literal[1, 2]
            """1 + 1"""
    '''
    assert mutants(textwrap.dedent(text), "x") == []


def test_what_an_error_says_is_left_alone() -> None:
    text = "raise ValueError(f'{a + 1}', 2 + 2) from None"
    assert [(m.key.before, m.key.after) for m in mutants(text, "x")] == [(text, "pass")]
    assert mutants("x = f'{a + 1:{b + 2}}'", "x") == []


def test_only_the_lines_that_were_asked_for() -> None:
    text = "a = 1\nb = 2\nc = 3\n"
    assert {m.line for m in mutants(text, "x", {2})} == {2}
    assert [m.key.before for m in mutants(text, "x", range(2, 4))] == ["b = 2"] * 2 + ["c = 3"] * 2


def test_a_long_line_is_cut_to_what_differs() -> None:
    names = ", ".join(f"name{number}" for number in range(40))
    cut = [m.key for m in mutants(f"x = [{names}, 7]", "x") if m.operator == "constant"]
    assert [(len(key.before) < 60, key.before[-2:], key.after[-2:]) for key in cut] == [
        (True, "7]", "8]"),
        (True, "7]", "6]"),
    ]


def test_equal_changes_are_counted() -> None:
    keys = [m.key for m in mutants("x = 1\nx = 1\n", "x") if m.operator == "constant"]
    assert [(key.after, key.occurrence) for key in keys] == [
        ("x = 2", 1),
        ("x = 0", 1),
        ("x = 2", 2),
        ("x = 0", 2),
    ]


# ---- samples -------------------------------------------------------------------------------------


def test_a_sample_is_the_same_wherever_the_lines_are() -> None:
    path = "autograder/records/points.py"
    text = (ROOT / path).read_text("utf-8")
    every, moved = mutants(text, path), mutants(text.replace("\nfrom", "\n\nfrom"), path)
    first = [mutant.key for mutant in sample(every, 5, 0)]
    assert len(first) == 5
    assert [mutant.key for mutant in sample(moved, 5, 0)] == first
    assert [mutant.key for mutant in sample(every, 5, 1)] != first
    assert set(first) <= {mutant.key for mutant in sample(every, 9, 0)}
    assert sample(every, None, 0) == every


# ---- marks and verdicts --------------------------------------------------------------------------

MARK = "- {where: x, before: a < b, after: a <= b, why: they are never equal}\n"


def test_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "marks.yaml"
    path.write_text(MARK + MARK.replace("where", "occurrence: 2, where"))
    key = Key("x", "a < b", "a <= b")
    assert read_marks(path) == {
        key: "they are never equal",
        Key("x", "a < b", "a <= b", 2): "they are never equal",
    }
    every = mutants("p = a < b", "x")
    assert stale([key], every) == [key]
    assert stale([Key("x", "p = a < b", "p = a <= b")], every) == []
    assert stale([Key("y", "a < b", "a <= b")], every) == []  # of a place that was not looked at


def test_a_mark_may_be_of_every_change_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "marks.yaml"
    path.write_text("- {where: x, before: p = a < b, after: '*', why: free}\n")
    marks = read_marks(path)
    every = mutants("p = a < b\nq = a < b\np = a < b", "x")
    marked = {mutant.line for mutant in every if is_marked(mutant.key, marks)}
    assert marked == {1, 3}
    assert stale(marks, every) == []
    assert stale(marks, mutants("p = a > b", "x")) == list(marks)


@pytest.mark.parametrize(
    "text",
    [
        MARK + MARK,
        "- {where: x, before: a, after: b}",
        "- {where: x, before: a, after: b, why: ' '}",
        "- {where: x, before: a, after: b, why: c, line: 7}",
        "- 7",
    ],
)
def test_a_mark_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "marks.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="entry"):
        read_marks(path)


def test_the_marks_of_the_kit_s_modules_name_mutants() -> None:
    """Those of solutions are told when they are graded, so that a solution can change freely."""
    marks = read_marks()
    known = [solutions.solution(name).session for name in solutions.sessions()]
    exercises = {exercise.id for session in known for exercise in session.exercises}
    places = {key.where for key in marks}
    assert places <= exercises | set(modules.TESTS)
    for path in places - exercises:
        assert stale(marks, every_mutant(path)) == []


def test_verdicts_survive_a_run_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "verdicts.jsonl"
    verdicts = Verdicts(path)
    assert verdicts.get("one") is None
    verdicts.add("one", "caught")
    verdicts.add("two", "survived")
    with path.open("a") as file:
        file.write('["three", "cau')
    again = Verdicts(path)
    assert [again.get(name) for name in ("one", "two", "three")] == ["caught", "survived", None]


# ---- judges --------------------------------------------------------------------------------------

WORK = """
def clip(x):
    if x < 0:
        return 0
    return x


def wait(n):
    while n > 0:
        n -= 1
"""
TESTS = """
from autograder.work import clip, wait


def test_clip():
    assert clip(-3) == 0
    assert clip(3) == 3
    wait(2)
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module and its tests in place of this one."""
    for name, text in {
        "autograder/__init__.py": "",
        "autograder/work.py": WORK,
        "test_work.py": TESTS,
        "pytest.ini": "[pytest]\n",
    }.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(modules, "ROOT", tmp_path / "tree")
    monkeypatch.setattr(modules, "EXTRA_SECONDS", 2.0)
    return tmp_path / "tree"


@pytest.mark.slow
def test_mutants_of_a_module_meet_its_tests(tree: Path, tmp_path: Path) -> None:
    module, verdicts = "autograder/work.py", Verdicts(tmp_path / "verdicts")
    chosen = [
        mutant
        for mutant in modules.module_mutants(module)
        if mutant.key.after
        in {"if x <= 0: ...", "if x >= 0: ...", "return x", "n += 1", "if x < 1: ..."}
    ]
    found = dict(modules.judge(module, ["test_work.py"], chosen, verdicts, 2))
    assert {m.key.after: verdict for m, verdict in found.items()} == {
        "if x <= 0: ...": "survived",  # 0 either way
        "if x < 1: ...": "survived",
        "if x >= 0: ...": "caught",
        "n += 1": "caught",  # it hangs
    }
    (tree / "test_work.py").write_text("broken")
    again = Verdicts(tmp_path / "verdicts")
    with pytest.raises(RuntimeError, match="on the unchanged autograder"):
        list(modules.judge(module, ["test_work.py"], chosen, again, 1))
    (tree / "test_work.py").write_text(TESTS)
    assert dict(modules.judge(module, ["test_work.py"], chosen, again, 1)) == found


@pytest.mark.slow
def test_mutants_of_a_solution_are_graded(tmp_path: Path) -> None:
    of = solutions.solution("s1")
    every = solutions.exercise_mutants(of, "s1.bit_operations")
    assert {mutant.key.where for mutant in every} == {"s1.bit_operations"}
    chosen = sample(every, 2, 0)
    verdicts = Verdicts(tmp_path / "verdicts")
    found = list(solutions.judge(of, chosen, verdicts, 1))
    assert {mutant.key for mutant, _ in found} == {mutant.key for mutant in chosen}
    assert list(solutions.judge(of, chosen, Verdicts(tmp_path / "verdicts"), 1)) == found


def test_the_command_lists_and_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--only-list", "--sample", "2", "--exercise", "s1.sparsity"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("solutions/s1_intro/metrics.py:") for line in lines)
    assert command.main(["--exercise", "s1.nothing"]) == 2
    assert command.main(["--session", "s99"]) == 2
    assert command.main(["--module", "autograder/nothing.py"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3
