"""The pages that people work with: what is first, what leads where, and what nobody is told."""

from __future__ import annotations

import ast
import hashlib
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.records import (
    KNOWN_MISTAKE,
    ExerciseResult,
    FeedbackLevel,
    Isolation,
    Outcome,
    Report,
    TestResult,
)
from autograder.records.points import exercise_result
from autograder.reports.class_view import exercise_statistics, totals_of
from autograder.reports.disclosure import Shown
from autograder.reports.html import class_page, student_page, with_neighbors
from autograder.reports.source import definition, whole
from autograder.reports.text import student_text
from autograder.reports.view import modules_of
from tests.records.test_measurement import SCORE
from tests.reports import samples
from tests.support import ROOT

PASSED, FAILED, CRASHED = Outcome.PASSED, Outcome.FAILED, Outcome.CRASHED
BROKEN = "work.py cannot be imported: SyntaxError (work.py:3): invalid syntax"


def result(name: str, *outcomes: Outcome, message: str = "") -> ExerciseResult:
    """An exercise with a test for each outcome."""
    tests = [
        TestResult(f"test_{i}", f"Check {i} of {name}.", one, float(one is PASSED), message=message)
        for i, one in enumerate(outcomes)
    ]
    summed = exercise_result(_Exercise(f"s1.{name}", 10.0), tests)
    return replace(summed, outcome=outcomes[0]) if len(set(outcomes)) == 1 else summed


class _Exercise:
    def __init__(self, exercise_id: str, points: float) -> None:
        self.id, self.points = exercise_id, points
        self.title, self.module, self.extra_credit = f"Title of {exercise_id}", "work", False


def report(student: str, *exercises: ExerciseResult, **changes: object) -> Report:
    base = replace(samples.mixed(), student=student, slug=f"{student}-0", exercises=exercises)
    return replace(base, problems=(), incidents=(), score=None, **changes)


def text_of(page: str) -> str:
    return " ".join(
        re.sub("<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", page, flags=re.S).split()
    )


# ---- class page ----------------------------------------------------------------------------------


def test_the_weakest_exercise_over_those_who_tried_comes_first() -> None:
    blank, missing = Outcome.BLANK, Outcome.MISSING
    reports = [
        report("a", result("rare", PASSED), result("weak", FAILED), result("fair", PASSED)),
        report("b", result("rare", blank), result("weak", PASSED), result("fair", PASSED)),
        report("c", result("rare", missing), result("weak", CRASHED), result("fair", FAILED)),
    ]
    found = exercise_statistics(reports)
    assert [(one.short, one.tried) for one in found] == [("weak", 3), ("fair", 3), ("rare", 1)]
    assert [round(one.share, 3) for one in found] == [0.333, 0.667, 1.0]
    assert dict(found[2].counts) == {PASSED: 1, blank: 1, missing: 1}
    page = class_page(reports, "Course", "Session")
    places = [page.index(f"<bdi>Title of s1.{name}</bdi>") for name in ("weak", "fair", "rare")]
    assert places == sorted(places)


def test_an_exercise_lists_its_weakest_checks_and_known_mistakes() -> None:
    told = f"{KNOWN_MISTAKE}Buffers are counted."
    reports = [
        report(
            "a", result("size", PASSED, FAILED, message=f"{told} 2 of 3 checks fail because of it.")
        ),
        report("b", result("size", PASSED, FAILED, message=told)),
        report("c", result("size", FAILED, FAILED, message="Worth checking: bits")),
        report("d", result("size", Outcome.BLANK, Outcome.BLANK)),
    ]
    (one,) = exercise_statistics(reports)
    assert [(c.title, c.passed, c.tried) for c in one.checks] == [
        ("Check 1 of size.", 0, 3),
        ("Check 0 of size.", 2, 3),
    ]
    assert one.mistakes == (("Buffers are counted.", 2),)


def test_who_needs_help_is_told_with_the_reason() -> None:
    reports = [
        report("fine", result("one", PASSED), result("two", PASSED)),
        report("poor", result("one", FAILED), result("two", CRASHED, message="oops")),
        report(
            "broken", result("one", CRASHED, message=BROKEN), result("two", CRASHED, message=BROKEN)
        ),
        report("absent", result("one", Outcome.MISSING), result("two", Outcome.MISSING)),
    ]
    page = class_page(reports, "Course", "Session")
    told = text_of(page[page.index('id="help"') : page.index('id="exercises"')])
    assert "poor , 0 points: 1 failed, 1 crashed" in told
    assert f"broken , 0 points: {BROKEN}" in told
    assert "No readable file absent" in told
    assert "fine" not in told


def test_every_link_of_the_class_page_leads_somewhere() -> None:
    reports = samples.course_class(3)
    page = class_page(reports, "Course", "Session")
    staff = {f"staff/{r.slug}.html": student_page(r, "ta") for r in reports}
    links = re.findall(r'href="([^"]*)"', page)
    cells = [link for link in links if link.startswith("staff/") and "#" in link]
    assert len(cells) == sum(len(r.exercises) for r in reports)
    for link in cells:
        file, _, place = link.partition("#")
        assert f'id="{place}"' in staff[unquote(file)], link
    for link in set(links) - set(cells):
        known = (*staff, "grades.csv", *(f"feedback/{r.slug}.html" for r in reports))
        assert unquote(link) in known or f'id="{link[1:]}"' in page, link


def test_isolation_is_told_only_where_code_ran() -> None:
    ran = report("ran", result("one", PASSED), isolation=Isolation("partial"))
    absent = report("absent", result("one", Outcome.MISSING), isolation=Isolation("none"))
    page = class_page([ran, absent], "", "")
    rows = page[page.index("<tbody>\n<tr", page.index('id="students"')) :].split("<tr")
    told = {
        name: [row for row in rows if f"staff/{name}-0.html" in row] for name in ("ran", "absent")
    }
    assert [("<td>partial</td>" in row, "none" in row) for row in told["ran"]] == [(True, False)]
    assert [row.count("<td></td>") for row in told["absent"]] == [3]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 7])
def test_the_middle_half_of_a_class_lies_among_its_students(count: int) -> None:
    reports = [report(f"s{i}", result("one", PASSED if i % 2 else FAILED)) for i in range(count)]
    totals = totals_of(reports)
    points = [each.points for each in reports] or [0.0]
    assert min(points) <= totals.lower <= totals.median <= totals.upper <= max(points)


def test_a_class_without_an_exercise_has_a_page() -> None:
    assert "1 submission" in text_of(class_page([report("ada")], "Course", "Session"))


def test_a_hidden_verdict_is_not_told_by_the_isolation() -> None:
    """Whether a file was run says whether it was refused."""
    refused = replace(SCORE, measurement=None, answers=None, refusal="no ONNX file")
    one = report("ada", result("valid", FAILED), isolation=Isolation("strict"))
    for level in set(FeedbackLevel) - {FeedbackLevel.VERDICTS}:
        told = [
            form(replace(one, score=score), shown=Shown(level))
            for score in (SCORE, refused)
            for form in (partial(student_page, audience="student"), student_text)
        ]
        assert told[:2] == told[2:], level
        assert all("Your file was read in a process" in " ".join(text.split()) for text in told)


def test_a_file_that_was_refused_was_read_and_not_run() -> None:
    strict = Isolation("strict")
    score = replace(SCORE, measurement=None, answers=None, refusal="no ONNX file")
    for made, told in (
        (SCORE, "Your file was read and run in a process of its own with strict isolation."),
        (score, "Your file was read in a process of its own with strict isolation, and not run."),
    ):
        one = replace(report("ada", result("valid", FAILED), isolation=strict), score=made)
        assert told in text_of(student_page(one, "student"))
        assert told in " ".join(student_text(one).split())


def test_names_of_exercises_have_the_height_that_they_need() -> None:
    page = class_page([report("ada", result("cost", PASSED), result("valid", PASSED))], "", "")
    assert 'style="--letters: 5"' in page


def test_the_script_is_the_one_that_the_policy_names() -> None:
    page = class_page(samples.course_class(2), "", "")
    ((script),) = re.findall("<script>(.*?)</script>", page, flags=re.S)
    (named,) = re.findall("script-src 'sha256-([^']*)'", page)
    assert b64decode(named) == hashlib.sha256(script.encode()).digest()
    assert "{{" not in script
    for audience in ("student", "ta"):
        assert "script" not in student_page(samples.mixed(), audience).lower()  # type: ignore[arg-type]


# ---- staff page ----------------------------------------------------------------------------------


def test_staff_pages_lead_to_their_neighbours_and_back() -> None:
    names = ("ada", "</nav><b>", "zoe")
    reports = [report(name, result("one", PASSED)) for name in names]
    page = student_page(reports[1], "ta")
    assert page == with_neighbors(page, None, None)
    linked = with_neighbors(page, reports[0], reports[2])
    assert re.findall('rel="(.*?)"', linked) == ["prev", "next"]
    assert linked.count("../index.html") == 1
    assert with_neighbors(linked, reports[0], reports[2]) == linked
    first = with_neighbors(linked, None, reports[1])
    assert re.findall('rel="(.*?)"', first) == ["next"]
    assert "<b>" not in re.findall('<nav class="steps".*?</nav>', first, flags=re.S)[0]
    assert "steps" not in student_page(reports[1], "student").partition("<main>")[2]


@pytest.mark.parametrize(
    "name", ["s1_intro/metrics.py", "s4_distillation/losses.py", "s5_automl/search.py"]
)
def test_an_excerpt_is_the_definition_that_python_finds(name: str) -> None:
    path = ROOT / "solutions" / name
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    nodes = [n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert nodes
    for node in nodes:
        first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        found = definition(whole(source), node.name)
        assert found is not None
        assert found.first == first
        expected = source.split("\n")[first - 1 : node.end_lineno]
        lines = found.text.split("\n")
        assert lines[: len(expected)] == expected
        assert all(line.lstrip().startswith("#") for line in lines[len(expected) :])


def test_the_source_stands_beside_the_verdict_for_the_staff_alone() -> None:
    one = report(
        "ada",
        result("half", FAILED),
        sources={"work.py": "x = 1\n\n\ndef half(x):\n    return x\n"},
    )
    assert "4  def half(x):" in student_page(one, "ta")
    shown = text_of(student_page(one, "student"))
    assert "def half" not in shown
    assert "To read: the text of half in work.py, line 4" in shown


# ---- feedback page -------------------------------------------------------------------------------


def test_a_file_that_does_not_run_is_said_once() -> None:
    names = [f"exercise_{i}" for i in range(12)]
    one = report("ada", *(result(n, CRASHED, CRASHED, message=BROKEN) for n in names))
    page = student_page(one, "student")
    assert page.count(BROKEN) == 1
    assert "<article" not in page
    assert all(f"Title of s1.{name}" in page for name in names)


def test_what_keeps_a_file_from_running_comes_first() -> None:
    def of(module: str, name: str, outcome: Outcome, message: str = "") -> ExerciseResult:
        return replace(result(name, outcome, outcome, message=message), module=module)

    one = report(
        "ada",
        of("first", "one", Outcome.BLANK),
        of("first", "two", Outcome.BLANK),
        of("second", "three", PASSED),
        of("work", "four", CRASHED, BROKEN),
        of("work", "five", CRASHED, BROKEN),
    )
    for audience in ("student", "ta"):
        page = student_page(one, audience)  # type: ignore[arg-type]
        shown = text_of(page.partition("<main>")[2])
        order = [BROKEN, "Title of s1.three", "nothing in this file is written yet", "second"]
        places = [shown.index(words) for words in order[:3]]
        assert places == sorted(places)
        assert shown.count(BROKEN) == shown.count("nothing in this file") == 1
        assert page.index(BROKEN.split(":")[0]) < page.index('class="overview"')
        assert page.count("<article") == 1
    lines = student_text(one).splitlines()
    heads = [line.split()[0] for line in lines if line.endswith(("0 of 20", "10 of 10"))]
    assert [name for name in heads if name in ("first", "second", "work")] == [
        "work",
        "first",
        "second",
    ]


def test_the_diagnosis_comes_first_and_printed_text_is_shown() -> None:
    told = f"{KNOWN_MISTAKE}Buffers are counted."
    failed = result("size", PASSED, FAILED, FAILED)
    tests = [*failed.tests]
    tests[2] = replace(tests[2], message=told, output="<b>seen</b>")
    page = student_page(report("ada", replace(failed, tests=tuple(tests))), "student")
    shown = text_of(page)
    places = [
        shown.index(text)
        for text in (told, "Check 1 of", "Check 2 of", "1 check passed", "Check 0 of")
    ]
    assert places == sorted(places)
    assert shown.count(told) == 1
    assert "&lt;b&gt;seen&lt;/b&gt;" in page


def test_versions_are_told() -> None:
    one = report("ada", result("one", PASSED), versions={"python": "3.11.7", "torch": "2.12.1"})
    for page in (student_page(one, "student"), student_page(one, "ta"), class_page([one], "", "")):
        assert "Python 3.11.7, torch 2.12.1" in page


tests = st.builds(
    TestResult,
    name=st.just("test"),
    title=st.just("It holds."),
    outcome=st.sampled_from([PASSED, Outcome.PARTIAL, FAILED]),
    credit=st.floats(0.01, 0.99),
    weight=st.floats(0.1, 9),
    guard=st.booleans(),
    essential=st.booleans(),
    visibility=st.sampled_from(["visible", "hidden"]).map(lambda v: samples.Visibility(v)),
)


@given(st.lists(tests, min_size=1, max_size=6), st.floats(0.5, 20))
def test_the_points_that_are_told_as_lost_are_those_that_were_lost(
    made: Sequence[TestResult], points: float
) -> None:
    summed = exercise_result(_Exercise("s1.one", points), made)
    (module,) = modules_of(report("ada", summed), "student")
    (view,) = module.exercises
    told = sum(check.lost for check in view.checks) + view.hidden.lost + view.capped
    assert told == pytest.approx(summed.maximum - summed.points, abs=0.006)
