"""The feedback policy of course.yaml, on every road by which feedback reaches a student."""

from __future__ import annotations

import io
import itertools
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autograder.course import Course, FeedbackPolicy, parse_course
from autograder.errors import CourseError
from autograder.grading.disclosure import shown_now
from autograder.grading.results import ResultsFolder
from autograder.integrations.classroom50 import results as classroom50
from autograder.integrations.feedback_archive import archive, names_of_download
from autograder.integrations.gradescope.results import results_json
from autograder.integrations.nbgrader import judged
from autograder.records import (
    ExerciseResult,
    FeedbackLevel,
    Lateness,
    Mark,
    Outcome,
    Report,
    TestResult,
    Visibility,
)
from autograder.reports.disclosure import EVERYTHING, Shown, disclosed
from autograder.reports.html import student_page
from autograder.reports.text import student_text
from tests.grading.support import COURSE
from tests.integrations.test_classroom50 import RUNNER
from tests.project.reports import report_of
from tests.project.test_leaderboard import entry
from tests.support import ROOT

NOTHING, POINTS, PUBLIC, VERDICTS = FeedbackLevel
POLICIES = list(itertools.combinations_with_replacement(FeedbackLevel, 2))
LATE = datetime(2027, 1, 25, 23, 59, tzinfo=UTC)
SECRET = "SECRET-VALUE"


def graded(due: datetime) -> Report:
    """Two exercises whose every text tells what it belongs to."""
    tests = (
        TestResult("t1", "PROPERTY-1", Outcome.FAILED, message="HINT-1", detail=SECRET),
        TestResult("t2", "PROPERTY-2", Outcome.CRASHED, message="HINT-2", detail=SECRET),
        TestResult("t3", "PROPERTY-3", Outcome.PASSED, credit=1.0),
    )
    results = (
        ExerciseResult("s1.add", "Add", "work", Outcome.PARTIAL, 13.33, 40.0, tests=tests),
        ExerciseResult(
            *("s1.sub", "Subtract", "work", Outcome.CRASHED, 0.0, 40.0),
            mark=Mark(3.77, "COMMENT", "bob"),
            calls=("s1.add",),
            tests=tests[1:2],
        ),
    )
    late = Lateness(LATE.isoformat(), due.isoformat(), 0.5, 0.1, "percent_per_day")
    return Report("test", "s1", "ada", "ada", "0" * 64, results, ("PROBLEM",), lateness=late)


NAMED = ("PROPERTY-1", "PROPERTY-2", "HINT-1", "HINT-2")
COUNTED = ("3 hidden checks: 1 passed",)
OF_POINTS = ("13.33", "3.77")
ABOVE: dict[FeedbackLevel, tuple[str, ...]] = {
    VERDICTS: (),
    PUBLIC: NAMED,
    POINTS: (*NAMED, *COUNTED, "crashed", "COMMENT"),
    NOTHING: (*NAMED, *COUNTED, "crashed", "COMMENT", *OF_POINTS, "15.39", "17.1", "10 %"),
}
"""What a student must not read at a level; 15.39 is the total after the penalty of 17.1 points."""


def check(text: str, level: FeedbackLevel, *expected: str) -> None:
    """Nothing of a higher level is in a text, and `expected` is."""
    assert SECRET not in text
    assert [word for word in ABOVE[level] if word in text] == []
    assert [word for word in expected if word not in text] == []


def course(before: FeedbackLevel, after: FeedbackLevel, due: datetime) -> Course:
    rules = parse_course(COURSE)
    policy = FeedbackPolicy(before_due=before, after_due=after)
    sessions = tuple(s.model_copy(update={"due": due}) for s in rules.sessions)
    return rules.model_copy(update={"feedback": policy, "sessions": sessions})


# ---- roads: each gives the texts that a student reads --------------------------------------------


def pages(rules: Course, report: Report, folder: Path) -> list[str]:
    results = ResultsFolder(folder / "results")
    with results.locked():
        results.keep(report, rules, rules.session("s1"))
    assert results.load().reports == (report,)  # the record stays whole, whatever is shown
    assert SECRET in (results.path / "staff" / "ada.html").read_text("utf-8")
    return [(results.path / "feedback" / f"ada.{end}").read_text() for end in ("html", "txt")]


def packed(rules: Course, report: Report, folder: Path) -> list[str]:
    del folder
    data = archive([report], names_of_download([report]), rules, rules.session("s1"))
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return [opened.read(name).decode() for name in opened.namelist()]


def cells(rules: Course, report: Report, folder: Path) -> list[str]:
    del folder
    shown = shown_now(rules.feedback, report.lateness, datetime.now(UTC))
    outputs = [judged._outputs(report, result, shown) for result in report.exercises]
    values = [float(output[1]["data"]["text/plain"]) for output in outputs]
    assert values == [13.33, 0.0]  # nbgrader's own column, whatever is shown
    return ["".join(output[0]["text"] for output in outputs)]


@pytest.mark.parametrize("road", [pages, packed, cells])
@pytest.mark.parametrize(
    ("before", "after"), [(NOTHING, POINTS), (POINTS, VERDICTS), (PUBLIC, PUBLIC)]
)
def test_pages_archive_and_cells_show_what_the_policy_says(
    tmp_path: Path,
    before: FeedbackLevel,
    after: FeedbackLevel,
    road: Callable[[Course, Report, Path], list[str]],
) -> None:
    now, hour = datetime.now(UTC), timedelta(hours=1)
    for due, level in ((now + hour, before), (now - hour, after)):
        folder = tmp_path / level.name
        folder.mkdir(exist_ok=True)
        expected = ["autograder check s1"]
        expected += NAMED if level is VERDICTS else ()
        expected += COUNTED if level is PUBLIC else ()
        expected += OF_POINTS if level is not NOTHING and road is not cells else ()
        expected += ["After the due date you see"] if due > now and before is not after else ()
        for text in road(course(before, after, due), graded(due), folder):
            words = re.sub("<style>.*?</style>", "", text, flags=re.DOTALL).split()
            check(" ".join(words), level, *expected)


@pytest.mark.parametrize(("before", "after"), POLICIES)
def test_gradescope_shows_what_the_policy_says(before: FeedbackLevel, after: FeedbackLevel) -> None:
    rules = course(before, after, LATE)
    tree = json.loads(results_json(graded(LATE), rules.session("s1"), 1.0, rules.feedback))
    for seen, level in ((("visible",), before), (("visible", "after_due_date"), after)):
        shown = [test for test in tree["tests"] if test["visibility"] in seen]
        texts = [f"{t['name']} {t['output']} {t.get('score', '')}" for t in shown]
        texts.append(tree["output"])
        texts.append(str(tree["score"]) if tree["visibility"] in seen else "")
        expected = [*(OF_POINTS if level is not NOTHING else ())]
        expected += NAMED if level is VERDICTS else ()
        expected += COUNTED if level is PUBLIC else ()
        check("\n".join(texts), level, *expected)
    scores = [test["score"] for test in tree["tests"] if "score" in test]
    assert scores == [13.33, 3.77]  # what is told later earns nothing twice


def test_a_check_that_is_hidden_longer_stays_so() -> None:
    report = graded(LATE)
    first, second = report.exercises
    hidden = replace(first.tests[0], visibility=Visibility.HIDDEN)
    published = replace(first.tests[1], visibility=Visibility.AFTER_PUBLISHED)
    first = replace(first, tests=(hidden, published, first.tests[2]))
    rules = course(NOTHING, VERDICTS, LATE)
    report = replace(report, exercises=(first, second))
    tree = json.loads(results_json(report, rules.session("s1"), 1.0, rules.feedback))
    texts = {
        kind: " ".join(t["output"] for t in tree["tests"] if t["visibility"] == kind)
        for kind in ("visible", "after_due_date", "after_published")
    }
    assert texts["visible"] == ""
    assert "PROPERTY-3" in texts["after_due_date"]
    assert "PROPERTY-1" not in "".join(texts.values())
    assert "PROPERTY-2" in texts["after_published"]


def test_the_leaderboard_of_gradescope_waits_for_points() -> None:
    report = report_of(entry("ada", 0.5))
    session = parse_course((ROOT / "course.yaml").read_text("utf-8")).session("s7")
    assert "leaderboard" in json.loads(results_json(report, session, 1.0))
    hidden = FeedbackPolicy(before_due=NOTHING)
    assert "leaderboard" not in json.loads(results_json(report, session, 1.0, hidden))


@pytest.mark.parametrize("level", FeedbackLevel)
def test_a_result_of_classroom_50_shows_what_the_policy_says(level: FeedbackLevel) -> None:
    """Its checks are the public ones, so their properties are shown from that level on."""
    report = classroom50.as_shown(graded(LATE), level)
    tree = json.loads(classroom50.result_json(report, classroom50.submitted(RUNNER), LATE))
    body = classroom50.release_body(report, parse_course(COURSE).session("s1"))
    assert SECRET not in body
    assert ("PROPERTY-1" in body) == level.covers(PUBLIC)
    assert len(tree["tests"]) == (2 if level.covers(POINTS) else 0)
    assert (tree["score"], tree["max-score"]) == ((13, 80) if level.covers(POINTS) else (0, 0))
    assert ("came in" in body) == (level is NOTHING)


# ---- the policy ----------------------------------------------------------------------------------


def test_by_default_everything_is_as_it_was() -> None:
    policy = parse_course(COURSE).feedback
    assert (policy.before_due, policy.after_due) == (VERDICTS, VERDICTS)
    report = graded(LATE)
    assert disclosed(report, VERDICTS) is report
    assert shown_now(policy, report.lateness, LATE - timedelta(days=1)) == EVERYTHING
    assert "never its inputs or expected values" in " ".join(student_text(report).split())
    page = student_page(report, "student")
    assert [word for word in (*NAMED, *OF_POINTS) if word not in page] == []


def test_the_students_own_due_date_decides() -> None:
    policy = FeedbackPolicy(before_due=POINTS, after_due=PUBLIC)
    late = Lateness(due=LATE.isoformat())
    assert shown_now(policy, late, LATE - timedelta(seconds=1)) == Shown(POINTS, PUBLIC)
    assert shown_now(policy, late, LATE) == Shown(PUBLIC)
    extended = Lateness(due=(LATE + timedelta(days=1)).isoformat())
    assert shown_now(policy, extended, LATE).level is POINTS


def test_levels_are_ordered() -> None:
    for low, high in itertools.combinations(FeedbackLevel, 2):
        assert high.covers(low)
        assert low.covers(low)
        assert not low.covers(high)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{before_due: all}", "feedback.before_due: expected 'nothing', 'points', 'public checks'"),
        ("{before_due: point}", "did you mean 'points'"),
        ("{before: points}", "feedback.before: expected one of the keys before_due, after_due"),
        ("points", "feedback: expected a mapping"),
        ("{after_due: points}", "after_due: expected at least what before_due shows"),
        ("{before_due: points}", "expected the level of after_due, or a due date of session s2"),
    ],
)
def test_a_bad_policy_is_one_line(text: str, message: str) -> None:
    source = f"{COURSE}\nfeedback: {text}\n"
    line = source.splitlines().index(f"feedback: {text}") + 1
    with pytest.raises(CourseError) as caught:
        parse_course(source)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"course.yaml:{line}: feedback")
    assert "\n" not in str(caught.value)
