"""Every written form of a report: complete, inert, and only what its reader may see."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from autograder.errors import AutograderError
from autograder.records import (
    ExerciseResult,
    Isolation,
    Lateness,
    Mark,
    Outcome,
    Report,
    TestResult,
    Usage,
    Visibility,
)
from autograder.records.codec import from_json, to_json
from autograder.reports.check import check_view
from autograder.reports.csv_report import grades_csv
from autograder.reports.html import class_page, student_page
from autograder.reports.junit import junit_xml
from autograder.reports.text import class_table, student_text
from tests.reports import samples

GOLDEN = Path(__file__).parent / "golden"
DOCS = Path(__file__).parent.parent.parent / "docs" / "report-schema.md"

finite = st.floats(0, 1e6, allow_nan=False)
texts = st.text(max_size=12)
test_results = st.builds(
    TestResult,
    name=texts,
    title=texts,
    outcome=st.sampled_from(Outcome),
    credit=st.floats(0, 1),
    weight=finite,
    guard=st.booleans(),
    visibility=st.sampled_from(Visibility),
    message=texts,
    output=texts,
    detail=texts,
    seconds=finite,
    student_seconds=finite,
)
exercise_results = st.builds(
    ExerciseResult,
    id=texts,
    title=texts,
    module=texts,
    outcome=st.sampled_from(Outcome),
    points=st.floats(0, 100),
    maximum=st.floats(0, 100),
    extra_credit=st.booleans(),
    tests=st.lists(test_results, max_size=3).map(tuple),
)
lines = st.lists(texts, max_size=2).map(tuple)
reports = st.builds(
    Report,
    course=texts,
    session=texts,
    student=texts,
    slug=texts,
    submission_sha256=texts,
    exercises=st.lists(exercise_results, max_size=3).map(tuple),
    problems=lines,
    incidents=lines,
    isolation=st.builds(
        Isolation,
        level=st.sampled_from(["process", "partial", "strict"]),
        mechanisms=lines,
        missing=lines,
    ),
    usage=st.builds(
        Usage,
        seconds=finite,
        student_seconds=finite,
        peak_memory_bytes=st.integers(0, 2**40),
        workers=st.integers(0, 99),
    ),
    lateness=st.builds(
        Lateness,
        submitted_at=st.one_of(st.none(), texts),
        due=st.one_of(st.none(), texts),
        days_late=finite,
        penalty=st.floats(0, 1),
    ),
    sources=st.dictionaries(texts, texts, max_size=2),
    graded_at=texts,
    kit_version=texts,
    versions=st.dictionaries(texts, texts, max_size=2),
)


# ---- JSON ----------------------------------------------------------------------------------


@given(reports)
def test_a_report_reads_back_as_it_was(report: Report) -> None:
    assert from_json(to_json(report)) == report


def test_the_written_form_is_golden(pytestconfig: pytest.Config) -> None:
    path = GOLDEN / "report.json"
    text = to_json(small())
    if pytestconfig.getoption("--update-goldens"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_the_schema_page_names_every_field() -> None:
    page = DOCS.read_text(encoding="utf-8")
    tree = json.loads(to_json(small()))
    tree["sources"] = {}  # its keys are names of files

    def keys(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value) | {key for inner in value.values() for key in keys(inner)}
        if isinstance(value, list):
            return {key for inner in value for key in keys(inner)}
        return set()

    missing = {key for key in keys(tree) if f"`{key}`" not in page}
    assert missing == set()
    assert all(f"`{outcome}`" in page for outcome in Outcome)
    assert f"version {tree['schema_version']}" in page


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda tree: tree.update(schema_version=99), "schema_version"),
        (lambda tree: tree.pop("student"), "student"),
        (lambda tree: tree.update(extra=1), "extra"),
        (lambda tree: tree.update(student=3), "student"),
        (lambda tree: tree["exercises"][0].update(points="all"), "points"),
        (lambda tree: tree["exercises"][0].update(outcome="great"), "outcome"),
        (lambda tree: tree["isolation"].update(level="safe"), "level"),
        (lambda tree: tree["totals"].update(points=100), "totals"),
        (lambda tree: tree.update(exercises={}), "exercises"),
    ],
)
def test_what_is_no_report_is_refused_with_its_key(
    change: Callable[[dict[str, object]], object], key: str
) -> None:
    tree = json.loads(to_json(small()))
    change(tree)
    with pytest.raises(AutograderError, match=key) as error:
        from_json(json.dumps(tree))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000])
def test_text_that_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(AutograderError):
        from_json(text)


# ---- hostile text ----------------------------------------------------------------------------


def rendered(report: Report) -> dict[str, str]:
    """Every written form that a person opens."""
    console = Console(width=120, file=io.StringIO(), force_terminal=False)
    console.print(class_table([report], 120))
    console.print(check_view(report))
    output = console.file
    assert isinstance(output, io.StringIO)
    return {
        "student page": student_page(report, "student"),
        "staff page": student_page(report, "ta", report.course, report.session),
        "class page": class_page([report], report.course, report.session),
        "text": student_text(report),
        "csv": grades_csv([report]),
        "junit": junit_xml(report, "ta"),
        "terminal": output.getvalue(),
    }


class _Tags(HTMLParser):
    """Collects elements, and attributes that could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "srcset", "action"):
                self.loads.append(f"{name}={value}")
            if name == "href" and re.match(r"(?i)\s*(javascript|data|https?|//)", value or ""):
                self.loads.append(f"{name}={value}")


@pytest.mark.parametrize("text", samples.NASTY, ids=lambda text: repr(text[:30]))
def test_hostile_text_is_inert_everywhere(text: str) -> None:
    report = samples.hostile(text)
    forms = rendered(report)
    for name, form in forms.items():
        assert len(form) < 300_000, name
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", form), (
            name
        )
        form.encode("utf-8")
    for name in ("student page", "staff page", "class page"):
        page = _Tags()
        page.feed(forms[name])
        own = {"script"} if name == "class page" else set()
        assert page.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form"} - own)
        assert page.loads == [], name
    assert forms["class page"].lower().count("<script") == 1
    ElementTree.fromstring(forms["junit"])
    for row in csv.reader(io.StringIO(forms["csv"])):
        assert not any(cell.lstrip().startswith(tuple("=+-@\t\r")) for cell in row)
    from_json(to_json(report))


# ---- who sees what ---------------------------------------------------------------------------


def small() -> Report:
    """One exercise with a visible, a guard and a hidden test."""
    tests = (
        TestResult("test_a", "It adds.", Outcome.PASSED, 1.0, 2.0, seconds=0.25),
        TestResult(
            "test_b",
            "It refuses.",
            Outcome.FAILED,
            guard=True,
            message="raise ValueError",
            output="a visible print",
        ),
        TestResult(
            "test_c",
            "The secret property.",
            Outcome.CRASHED,
            visibility=Visibility.HIDDEN,
            message="the secret hint",
            output="the secret print",
            detail="the secret traceback",
        ),
    )
    exercise = ExerciseResult("s1.add", "Add", "work", Outcome.PARTIAL, 50.0, 100.0, tests=tests)
    return Report(
        course="course",
        session="s1",
        student="ada",
        slug="ada-1234",
        submission_sha256="0" * 64,
        exercises=(exercise,),
        problems=("notes.txt was ignored",),
        incidents=("s1.add: touched what it may not",),
        isolation=Isolation("strict", ("Landlock",), ()),
        usage=Usage(1.5, 0.5, 300 << 20, 2),
        lateness=Lateness("2027-01-26T00:00:00+01:00", "2027-01-25T23:59:00+01:00", 0.0007, 0.1),
        sources={"work.py": "def add(a, b):\n    return a + b\n"},
        graded_at="2027-01-26T08:00:00+00:00",
        kit_version="0.1.0",
        versions={"python": "3.11.7", "torch": "2.12.1"},
    )


@pytest.mark.parametrize("form", ["student page", "text"])
def test_students_see_hidden_checks_only_as_a_number(form: str) -> None:
    shown = rendered(small())[form]
    assert "It adds." in shown
    assert "raise ValueError" in shown
    assert "secret" not in shown
    assert "touched what it may not" not in shown
    assert "hidden" in shown
    assert "45" in shown  # 50 points less 10 percent


def test_assistants_see_everything() -> None:
    shown = rendered(small())["staff page"]
    for word in (
        "the secret hint",
        "the secret print",
        "the secret traceback",
        "touched what it may not",
        "Landlock",
    ):
        assert word in shown


def test_titles_stand_where_they_are_known() -> None:
    page = student_page(small(), "student", "Compressing networks", "Measure first")
    assert "<bdi>Compressing networks</bdi>" in page
    assert "<bdi>Measure first</bdi>" in page
    assert "<bdi>s1</bdi>" in student_page(small(), "student")


FAILED, PASSED, FAULT = Outcome.FAILED, Outcome.PASSED, Outcome.TOOL_ERROR


def composed(caller: Outcome, **callees: Outcome) -> dict[str, str]:
    """Every form of a report in which `share` calls the exercises named."""
    test = TestResult("test_it", "It holds.", FAILED, message="check that it holds")
    results = [
        ExerciseResult(f"s1.{name}", name, "work", outcome, 5.0 * (outcome is PASSED), 5.0)
        for name, outcome in callees.items()
    ]
    calls = tuple(f"s1.{name}" for name in callees)
    points = 5.0 * (caller is PASSED)
    share = ExerciseResult(
        "s1.share", "Share", "work", caller, points, 5.0, calls=calls, tests=(test,)
    )
    return rendered(replace(small(), exercises=(*results, share)))


@pytest.mark.parametrize("form", ["student page", "staff page", "text"])
def test_who_calls_what_lost_points_is_told(form: str) -> None:
    def said(caller: Outcome, **callees: Outcome) -> str:
        text = " ".join(re.sub("<[^>]*>", " ", composed(caller, **callees)[form]).split())
        found = re.search("it calls [^:]*: repair \\w+ first", text)
        return found[0] if found else ""

    assert said(FAILED, mask=FAILED) == ("it calls `mask`, which lost points: repair that first")
    assert said(FAILED, mask=FAILED, code=PASSED, pack=Outcome.BLANK) == (
        "it calls `mask` and `pack`, which lost points: repair those first"
    )
    assert said(FAILED, mask=PASSED) == ""
    assert said(PASSED, mask=FAILED) == ""
    assert said(FAILED, mask=FAULT) == ""
    assert said(FAULT, mask=FAILED) == ""
    assert said(FAILED) == ""


def test_a_mark_by_hand_can_make_good_what_is_called() -> None:
    callee = ExerciseResult("s1.mask", "Mask", "work", FAILED, 0.0, 5.0, mark=Mark(5.0))
    share = ExerciseResult("s1.share", "Share", "work", FAILED, 0.0, 5.0, calls=("s1.mask",))
    report = replace(small(), exercises=(callee, share))
    assert "it calls" not in student_text(report)


def test_every_outcome_has_a_place_in_every_form() -> None:
    base = small().exercises[0]
    exercises = tuple(
        replace(base, id=f"s1.e{i}", outcome=outcome, points=0.0)
        for i, outcome in enumerate(Outcome)
    )
    report = replace(small(), exercises=exercises)
    forms = rendered(report)
    for outcome in Outcome:
        assert outcome in forms["staff page"]
        assert outcome in forms["csv"]


def test_the_csv_holds_one_row_a_student_and_their_points() -> None:
    rows = list(csv.DictReader(io.StringIO(grades_csv(samples.course_class(30)))))
    assert len(rows) == 30
    (row,) = csv.DictReader(io.StringIO(grades_csv([small()])))
    assert (row["student"], row["total"], row["raw_total"]) == ("ada", "45", "50")
    assert (row["s1.add"], row["s1.add outcome"]) == ("50", "partial")


def test_junit_counts_failures() -> None:
    root = ElementTree.fromstring(junit_xml(small(), "ta"))
    suites = [root] if root.tag == "testsuite" else list(root)
    assert sum(int(suite.get("tests", "0")) for suite in suites) == 3


@pytest.mark.slow
def test_a_large_class_fits_on_one_page() -> None:
    reports = samples.course_class(1000)
    page = class_page(reports, "Course", "Session")
    assert all(f"staff/{quote(report.slug, safe='')}.html" in page for report in reports)
