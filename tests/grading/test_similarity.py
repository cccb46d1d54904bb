"""Copies are found however they are dressed up; what everybody has, or was given, is no copy."""

from __future__ import annotations

import csv
import io
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder.course import parse_course
from autograder.errors import AutograderError
from autograder.grading import similarity
from autograder.grading.enrolment import grouped
from autograder.grading.roster import read_roster
from autograder.grading.similarity import COMMON_LEAST, pairs_csv, similar_pairs
from autograder.submissions import Submission
from tests.grading.support import COURSE
from tests.support import submission

STARTER = '''"""What was handed out."""

import math


def settings(path):
    lines = [line.strip() for line in open(path) if line.strip()]
    pairs = dict(line.split("=", 1) for line in lines if "=" in line)
    return {key.strip(): float(value) for key, value in pairs.items()}


def mean(values):
    """TODO: the mean."""
    raise NotImplementedError
'''
OPERATORS = ("+", "-", "*", "/", "%", "//")


def work(seed: int) -> str:
    """Code of one mind: functions with expressions and branches that are drawn."""
    rng = random.Random(seed)
    lines = []
    for number in range(6):
        lines.append(f"def step_{number}(a, b, c):")
        for _ in range(rng.randint(2, 5)):
            left, right, target = (rng.choice("abc") for _ in range(3))
            operator = rng.choice(OPERATORS)
            lines.append(
                rng.choice(
                    [
                        f"    {target} = ({left} {operator} {rng.randint(2, 9)}) - {right}",
                        f"    if {left} {rng.choice('<>')} {right}:\n        {target} = -{left}",
                        f"    for _ in range({rng.randint(2, 9)}):\n        {target} += {right}",
                        f"    {target} = max({left}, {right} {operator} {left})",
                        f"    while {left} > {rng.randint(9, 99)}: {left} = {left} {operator} 2",
                    ]
                )
            )
        lines.append(f"    return {rng.choice(['a', 'b + c', '[a, b, c]', '(a, -b)'])}\n\n")
    return "\n".join(lines)


def disguised(text: str) -> str:
    """Other names, other spaces, comments everywhere."""
    for old, new in (("a", "first"), ("b", "second"), ("c", "third"), ("step_", "phase")):
        text = "".join(
            new if word == old else word.replace(old, new) if old == "step_" else word
            for word in _words(text)
        )
    return "\n".join(f"{line}  # {number}" for number, line in enumerate(text.splitlines()))


def _words(text: str) -> list[str]:
    words, word = [], ""
    for char in text:
        if char.isalnum() or char == "_":
            word += char
        else:
            words += [word, char]
            word = ""
    return [*words, word]


def class_of(**texts: str) -> list[Submission]:
    return [submission(name, {"work.py": text}) for name, text in texts.items()]


def found(submissions: list[Submission]) -> set[frozenset[str]]:
    return {frozenset(pair.students) for pair in similar_pairs(submissions, [STARTER])}


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_is_found_and_strangers_are_not(seed: int) -> None:
    others = {f"s{number}": STARTER + work(100 * seed + number) for number in range(5)}
    copy = STARTER + disguised(work(100 * seed))
    first, *more = similar_pairs(class_of(**others, thief=copy), [STARTER])
    assert first.students == ("s0", "thief")
    assert min(first.shares) > 0.9
    assert all(max(pair.shares) < 0.6 for pair in more), "drawn code has few forms"


def test_moved_code_is_found_and_the_places_are_named() -> None:
    first, second = work(1), work(2)
    texts = {"ada": f"{STARTER}{first}", "bob": f"{second}\n{disguised(first)}\n{STARTER}"}
    (pair,) = similar_pairs(class_of(**texts), [STARTER])
    assert pair.students == ("ada", "bob")
    assert pair.shares[0] > 0.9 > pair.shares[1]
    name, _, lines = pair.passages[0][0].partition(":")
    start, end = map(int, lines.split("-"))
    assert name == "work.py"
    assert start >= STARTER.count("\n") - 1
    assert end - start > 0.8 * first.count("\n")


def test_what_was_given_and_what_many_have_is_not_unusual() -> None:
    many = {f"s{number}": STARTER + work(7) for number in range(COMMON_LEAST + 1)}
    assert found(class_of(ada=STARTER, bob=STARTER)) == set()
    assert found(class_of(**many)) == set()
    known = similar_pairs(class_of(ada=work(3), bob=disguised(work(3))), [STARTER, work(3)])
    assert known == ()


def test_members_of_a_group_are_no_pair() -> None:
    pair = [submission(name, {"work.py": work(4)}, group="7") for name in ("ada", "bob")]
    assert similar_pairs(pair, [STARTER]) == ()
    assert len(similar_pairs([pair[0], submission("cleo", {"work.py": work(4)})], [STARTER])) == 1


def test_what_a_large_group_hands_in_is_one_piece_of_work() -> None:
    """Six have it, but it is not usual; who copied it is a pair with all of them."""
    names = [f"s{number}" for number in range(COMMON_LEAST + 2)]
    group = [submission(name, {"work.py": work(4)}, group="7") for name in names]
    strangers = [submission(f"x{n}", {"work.py": work(20 + n)}) for n in range(3)]
    thief = submission("thief", {"work.py": disguised(work(4))})
    (pair,) = (
        p for p in similar_pairs([*group, *strangers, thief], [STARTER]) if p.shares[0] > 0.9
    )
    assert set(pair.students) == {", ".join(names), "thief"}


def test_groups_of_the_roster(tmp_path: Path) -> None:
    """Each hands in by themselves; nothing of it is left out, and no name changes."""
    table = tmp_path / "roster.csv"
    table.write_text("student,name,group\na,Ada,red\nb,Bob,red\nc,Cleo,\nd,Dan,blue\n")
    roster = read_roster(table, parse_course(COURSE))
    given = class_of(Ada=work(4), Bob=disguised(work(4)), Cleo=work(4), Eve=work(5))
    made = grouped(given, roster)
    assert [replace(each, group="") for each in made] == given
    assert found(made) == {frozenset({"Ada", "Cleo"}), frozenset({"Bob", "Cleo"})}


@pytest.mark.parametrize("text", ["", "def f(:\n  ]]", "\x00" * 50, "'''never closed\n" * 40])
def test_what_is_no_python_is_compared_as_well(text: str) -> None:
    assert found(class_of(ada=text, bob=work(5), cleo=work(5))) == {frozenset({"bob", "cleo"})}


def test_the_table() -> None:
    pairs = similar_pairs(class_of(ada=work(6), bob=work(6)), [])
    (row,) = csv.DictReader(io.StringIO(pairs_csv(pairs)))
    assert (row["first"], row["second"], row["share_of_first"]) == ("ada", "bob", "1.00")
    assert row["in_first"].startswith("work.py:1-")


def test_no_name_is_a_formula_in_the_table() -> None:
    texts = {"=1+1": work(6), "+ada\n": work(6)}
    pairs = similar_pairs([submission(name, {"work.py": text}) for name, text in texts.items()], [])
    (row,) = csv.DictReader(io.StringIO(pairs_csv(pairs)))
    assert {row["first"], row["second"]} == {"'=1+1", "'+ada"}


def test_without_the_library_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "copydetect", None)
    with pytest.raises(AutograderError, match="similarity"):
        similar_pairs(class_of(ada=""), [])


@pytest.mark.slow
def test_code_that_takes_for_ever_to_read_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lexers need quadratic time for some texts; their authors do not stop the others' table."""
    monkeypatch.setattr(similarity, "READ_SECONDS", 1.0)
    blanks = ("\t" * 50 + "\n") * 4000
    notes: list[str] = []
    *given, eve = class_of(ada=work(7), bob=disguised(work(7)), eve="")
    given.append(replace(eve, files=(("work.py", blanks.encode()),)))
    pairs = similar_pairs(given, [STARTER], notes.append)
    assert [set(pair.students) for pair in pairs] == [{"ada", "bob"}]
    assert notes == ["eve: left out, the code takes too long to read; look at it yourself"]
