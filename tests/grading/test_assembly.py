"""From a judge's report to the one that is kept: what stays, marks, penalties, order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autograder.course import Course, parse_course
from autograder.grading.assembly import finished, merged
from autograder.grading.fingerprints import of_result
from autograder.records import ExerciseResult, Mark, Outcome, Report
from tests.grading.support import COURSE

PRINTS = {"s1.add": "fa", "s1.sub": "fs"}
DUE = "2027-01-25T23:59:00+01:00"


def course(text: str = COURSE) -> Course:
    return parse_course(text)


def result(name: str, points: float = 0.0, **fields: object) -> ExerciseResult:
    outcome = Outcome.PASSED if points else Outcome.FAILED
    made = ExerciseResult(f"s1.{name}", "old title", "work", outcome, points, 40)
    return replace(made, **fields)  # type: ignore[arg-type]


def report(*results: ExerciseResult, sha256: str = "one", **fields: object) -> Report:
    made = Report("test", "s1", "ada", "ada", sha256, results)
    return replace(made, **fields)  # type: ignore[arg-type]


def by_id(made: Report) -> dict[str, ExerciseResult]:
    return {each.id.partition(".")[2]: each for each in made.exercises}


# ---- merged --------------------------------------------------------------------------------------


def test_each_new_result_is_under_its_fingerprint_and_submission() -> None:
    made = merged(report(result("add", 40), result("sub")), None, PRINTS)
    assert [each.fingerprint for each in made.exercises] == [
        of_result("fa", "one"),
        of_result("fs", "one"),
    ]
    assert [each.points for each in made.exercises] == [40, 0]


def test_a_new_result_replaces_and_others_stay() -> None:
    former = report(result("add", 3, fingerprint="f"), result("sub", 40, fingerprint="g"))
    made = by_id(merged(report(result("add", 40)), former, PRINTS))
    assert (made["add"].points, made["add"].fingerprint) == (40, of_result("fa", "one"))
    assert made["sub"] == former.exercises[1]


def test_incidents_stay_with_the_same_submission_and_are_named_once() -> None:
    former = report(incidents=("a", "b"))
    again = report(incidents=("c", "a"))
    assert merged(again, former, PRINTS).incidents == ("c", "a", "b")
    other = replace(again, submission_sha256="two")
    assert merged(other, former, PRINTS).incidents == ("c", "a")
    assert merged(again, None, PRINTS).incidents == ("c", "a")


# ---- finished ------------------------------------------------------------------------------------


def finish(made: Report, marks: dict[str, Mark] | None = None, time: str | None = None) -> Report:
    given = {("ada", f"s1.{name}"): mark for name, mark in (marks or {}).items()}
    return finished(made, course(), course().session("s1"), time, given)


def test_results_get_the_order_and_titles_of_the_course() -> None:
    made = finish(report(result("sub"), result("gone", 9), result("add", 40)))
    assert [(each.id, each.title) for each in made.exercises] == [
        ("s1.add", "Add"),
        ("s1.sub", "Subtract"),
        ("s1.essay", "Essay"),
    ]


def test_what_a_person_grades_waits_until_the_rest_is_graded() -> None:
    assert "essay" not in by_id(finish(report(result("add"))))
    essay = by_id(finish(report(result("add"), result("sub"))))["essay"]
    assert essay == ExerciseResult(
        "s1.essay", "Essay", "", Outcome.NOT_MARKED, 0.0, 20, extra_credit=False, by_hand=True
    )


def test_what_a_person_grades_keeps_its_record() -> None:
    kept = result("essay", by_hand=True, maximum=20, fingerprint="kept")
    made = by_id(finish(report(result("add"), result("sub"), kept)))
    assert made["essay"].fingerprint == "kept"


def test_extra_credit_by_hand_is_extra_credit() -> None:
    text = COURSE.replace(
        "points: 20, graded: by hand", "points: 20, graded: by hand, extra_credit: true"
    ).replace("Subtract, points: 40", "Subtract, points: 60")
    made = course(text)
    done = finished(report(result("add"), result("sub")), made, made.session("s1"), None, {})
    assert by_id(done)["essay"].extra_credit


@pytest.mark.parametrize(
    ("points", "outcome"),
    [
        (0.0, Outcome.FAILED),
        (0.5, Outcome.PARTIAL),
        (19.5, Outcome.PARTIAL),
        (20.0, Outcome.PASSED),
        (25.0, Outcome.PASSED),
    ],
)
def test_a_mark_says_how_an_exercise_by_hand_ended(points: float, outcome: Outcome) -> None:
    essay = by_id(finish(report(result("add"), result("sub")), {"essay": Mark(points)}))["essay"]
    assert (essay.outcome, essay.earned) == (outcome, points)


def test_a_mark_replaces_points_but_not_the_verdict_of_a_grader() -> None:
    made = finish(report(result("add"), result("sub", 40)), {"add": Mark(33)})
    add, sub = made.exercises[:2]
    assert (add.outcome, add.points, add.earned) == (Outcome.FAILED, 0, 33)
    assert (sub.mark, sub.earned) == (None, 40)


def test_a_mark_that_is_gone_is_gone() -> None:
    marked = finish(report(result("add"), result("sub")), {"add": Mark(33), "essay": Mark(9)})
    again = by_id(finish(marked))
    assert (again["add"].mark, again["essay"].mark) == (None, None)
    assert again["essay"].outcome is Outcome.NOT_MARKED


def test_marks_are_those_of_this_student_and_exercise() -> None:
    given = {("bob", "s1.add"): Mark(7), ("ada", "s1.sub"): Mark(8)}
    made = finished(
        report(result("add"), result("sub")), course(), course().session("s1"), None, given
    )
    assert [each.mark for each in made.exercises] == [None, Mark(8), None]


def test_the_penalty_is_that_of_the_time_of_submission() -> None:
    late = finish(report(result("add", 40)), time="2027-01-27T00:00:00+01:00").lateness
    assert (late.penalty, late.due) == (pytest.approx(0.2), DUE)
    assert finish(report(result("add", 40)), time=DUE).lateness.penalty == 0
    assert finish(report(result("add", 40))).lateness.submitted_at is None


def test_an_extension_is_that_of_student_and_session() -> None:
    granted = "2027-02-01T23:59:00+01:00"
    text = COURSE.replace("title: Another", f"title: Another\n    due: {DUE}")
    for student, session, penalty in (("ada", "s1", 0), ("bob", "s1", 0.2), ("ada", "s2", 0.2)):
        line = f"extensions: [{{student: {student}, session: {session}, due: {granted}}}]\n"
        made = course(text + line)
        time = "2027-01-27T00:00:00+01:00"
        done = finished(report(result("add", 40)), made, made.session("s1"), time, {})
        assert done.lateness.penalty == pytest.approx(penalty)
