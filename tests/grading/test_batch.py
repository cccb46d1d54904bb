"""A results folder through its life: nothing is lost, nothing is kept that is no longer true."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import re
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder.errors import AutograderError, InputErrors
from autograder.files import write
from autograder.grading import batch, fingerprints, results
from autograder.grading.enrolment import has_no_file, is_undecided
from autograder.grading.tables import StudentNames, finder, may_be
from autograder.records import Identity, Outcome
from autograder.submissions import collect
from autograder.submissions.identity import slug
from tests.collect.downloads import LIMITS, put, zipped
from tests.grading.support import GRADERS, Class, content, klass, points
from tests.support import submission

__all__ = ["klass"]

ALL = {
    "ada": {"add": 40, "sub": 40, "essay": 0},
    "bob": {"add": 0, "sub": 40, "essay": 0},
    "cleo": {"add": 0, "sub": 0, "essay": 0},
}


# ---- what is graded, and what stays --------------------------------------------------------------


def test_a_class(klass: Class) -> None:
    made = klass.grade()
    assert points(made) == ALL
    assert (made.graded, made.kept, made.changes) == (3, 0, ())
    assert [r.exercises[2].outcome for r in made.reports] == [Outcome.NOT_MARKED] * 3


def test_only_adds_to_what_is_there(klass: Class) -> None:
    klass.grade()
    for resume in (False, True):
        made = klass.grade(only=("s1.add",), resume=resume)
        assert points(made) == ALL
    klass.modules["ada"] = "sub only now"
    made = klass.grade(only=("s1.add",), resume=True)
    assert points(made)["ada"] == {"add": 0, "sub": 40, "essay": 0}
    assert klass.asked == [("ada", "add")]


def test_only_first_then_the_rest(klass: Class) -> None:
    assert points(klass.grade(only=("s1.add",)))["ada"] == {"add": 40}
    made = klass.grade(resume=True)
    assert points(made) == ALL
    assert sorted(klass.asked) == [("ada", "sub"), ("bob", "sub"), ("cleo", "sub")]


def test_a_result_of_other_files_is_not_kept_because_it_stood_beside_a_new_one(
    klass: Class,
) -> None:
    """`--only` grades one exercise of a new submission; the others are still of the old one."""
    klass.grade()
    klass.modules["ada"] = "add alone"
    klass.grade(only=("s1.add",), resume=True)
    made = klass.grade(resume=True)
    assert klass.asked == [("ada", "sub")]
    assert points(made)["ada"]["sub"] == 0


def test_nothing_to_do(klass: Class) -> None:
    klass.grade()
    before = content(klass.results.path / "reports")
    made = klass.grade(resume=True)
    assert (made.graded, made.kept, klass.asked) == (0, 3, [])
    assert content(klass.results.path / "reports") == before


def changed_graders(klass: Class) -> None:
    text = GRADERS.replace('"""It adds."""', '"""It adds."""\n    assert student')
    (klass.graders / "test_work.py").write_text(text)


def changed_helper(klass: Class) -> None:
    (klass.graders / "test_work.py").write_text(GRADERS + "\nTOLERANCE = 3\n")


def new_reference(klass: Class) -> None:
    (klass.graders / "references.py").write_text("ANSWER = 42\n")


CHANGES = {
    "a grader": (changed_graders, {"add"}),
    "what graders share": (changed_helper, {"add", "sub"}),
    "a reference": (new_reference, {"add", "sub"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_graded_again_and_nothing_else(klass: Class, name: str) -> None:
    change, expected = CHANGES[name]
    klass.grade()
    change(klass)
    klass.grade(resume=True)
    assert {exercise for _, exercise in klass.asked} == expected
    assert len(klass.asked) == 3 * len(expected)
    klass.grade(resume=True)
    assert klass.asked == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "points: 40}\n          - {id: s1.sub, title: Subtract, points: 40",
            "points: 30}\n          - {id: s1.sub, title: Subtract, points: 50",
            {"add", "sub"},
        ),
        ("title: Add, points: 40", "title: Add, points: 40, thresholds: {a: 1}", {"add"}),
        ("late_policy:", "limits: {test_seconds: 9}\nlate_policy:", {"add", "sub"}),
        ("title: Test\n", "title: Test\n    withhold: [profiling]\n", {"add", "sub"}),
        ("title: Add, points: 40", "title: Sum, points: 40", set()),
        ("percent: 10", "percent: 20", set()),
    ],
    ids=["points", "thresholds", "limits", "withheld", "a title", "the late policy"],
)
def test_a_change_of_course_yaml_is_graded_again_where_it_matters(
    klass: Class, before: str, after: str, expected: set[str]
) -> None:
    klass.grade()
    assert before in klass.text
    klass.text = klass.text.replace(before, after, 1)
    made = klass.grade(resume=True)
    assert {exercise for _, exercise in klass.asked} == expected
    if "Sum" in after:
        assert made.reports[0].exercises[0].title == "Sum"


def test_a_comment_in_a_grader_changes_nothing(klass: Class) -> None:
    before = fingerprints.grader_parts(klass.graders)
    (klass.graders / "test_work.py").write_text("# why\n" + GRADERS)
    assert fingerprints.grader_parts(klass.graders) == before


DECLARED = """
add = Exercise("s1.add", reference=carry)

@add.check(weight=2)
def test_add(rng):
    yield case(1, 2)

test_add_refuses = add.refuses(case("a"), title="No text.")
sub = Exercise("s1.sub")

@sub.check()
def test_sub(rng):
    yield case(helper(1), 2)

def helper(x):
    return x
"""


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("=carry", "=carried", {"s1.add"}),
        ("weight=2", "weight=3", {"s1.add"}),
        ('case("a")', 'case("b")', {"s1.add"}),
        ("helper(1), 2", "helper(1), 3", {"s1.sub"}),
        ("return x", "return -x", {""}),
        ("yield case(1, 2)", "yield case(1, 2)  # why", set()),
    ],
)
def test_a_declared_exercise_has_its_own_part(
    tmp_path: Path, old: str, new: str, changed: set[str]
) -> None:
    """What belongs to one exercise changes no other's fingerprint."""
    assert DECLARED.count(old) == 1
    parts = []
    for text in (DECLARED, DECLARED.replace(old, new)):
        (tmp_path / "test_work.py").write_text(text)
        parts.append(fingerprints.grader_parts(tmp_path))
    before, after = parts
    assert before.keys() == after.keys() == {"", "s1.add", "s1.sub"}
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_known_mistake_belongs_to_its_exercise(tmp_path: Path) -> None:
    (tmp_path / "test_work.py").write_text(DECLARED)
    (tmp_path / "mistakes").mkdir()
    before = fingerprints.grader_parts(tmp_path)
    (tmp_path / "mistakes" / "add__carry.py").write_text("'Carry lost.'")
    after = fingerprints.grader_parts(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"s1.add"}


def test_who_changed_by_how_much_and_the_former_record(klass: Class) -> None:
    klass.grade()
    klass.modules["bob"] = "add sub"
    klass.modules["ada"] = "add"
    made = klass.grade(resume=True)
    changes = {(c.student, c.before, c.after) for c in made.changes}
    assert changes == {("bob", 40, 80), ("ada", 80, 40)}
    former = sorted(klass.results.former.glob("*.json"))
    assert len(former) == 2
    old = {results.read_report(path).student: results.read_report(path) for path in former}
    assert (old["bob"].raw_points, old["ada"].raw_points) == (40, 80)
    klass.modules["bob"] = "none"
    klass.grade(resume=True)
    assert len(sorted(klass.results.former.glob("bob*.json"))) == 2


def test_what_we_fail_to_grade_is_not_tried_for_ever(klass: Class) -> None:
    klass.broken = {("ada", "sub")}
    klass.grade()
    for run in (2, 3):
        made = klass.grade(resume=True)
        assert klass.asked == [("ada", "sub")]
        (ada,) = [report for report in made.reports if report.student == "ada"]
        assert ada.failed_runs == run
    klass.grade(resume=True)
    assert klass.asked == []
    (klass.graders / "test_work.py").write_text(GRADERS.replace("subtracts", "takes away"))
    klass.grade(resume=True)
    assert ("ada", "sub") in klass.asked
    klass.broken = set()
    made = klass.grade(resume=True)
    assert klass.asked == [("ada", "sub")]
    assert [report.failed_runs for report in made.reports] == [0] * len(made.reports)


def test_tool_errors_are_graded_again(klass: Class) -> None:
    klass.broken = {("ada", "add")}
    assert klass.grade().reports[0].has_tool_error
    klass.broken = set()
    made = klass.grade(resume=True)
    assert klass.asked == [("ada", "add")]
    assert points(made) == ALL


def test_a_student_who_is_not_collected_any_more_stays(klass: Class) -> None:
    klass.grade()
    del klass.modules["cleo"]
    made = klass.grade(resume=True)
    assert set(points(made)) == {"ada", "bob", "cleo"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', "\x00" * 400])
def test_a_torn_record_costs_one_regrade_and_a_line(klass: Class, text: str) -> None:
    klass.grade()
    (path,) = klass.results.reports.glob("bob*.json")
    path.write_text(text)
    made = klass.report()
    assert (set(points(made)), made.unreadable) == ({"ada", "cleo"}, 1)
    made = klass.grade(resume=True)
    assert {student for student, _ in klass.asked} == {"bob"}
    assert (len(klass.notes), path.name in klass.notes[0]) == (1, True)
    assert points(made) == ALL


@pytest.mark.parametrize("name", ["{} 2.json", "{}_old.json", "{} (conflicted copy).json"])
def test_a_copy_of_a_record_never_counts(klass: Class, name: str) -> None:
    klass.grade()
    (path,) = klass.results.reports.glob("bob*.json")
    copy = path.with_name(name.format(path.stem))
    copy.write_text(path.read_text())
    path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07")
    klass.modules["bob"] = "add sub"
    made = klass.grade(resume=True)
    (note,) = klass.notes
    assert note.startswith(f"{copy} is a copy of {path.name} and does not count")
    assert (len(made.reports), points(made)["bob"]) == (3, ALL["ada"])
    assert points(klass.report())["bob"] == ALL["ada"]


def test_what_lay_beside_the_files_is_said_as_it_is_now(klass: Class) -> None:
    klass.modules = {"bob": ""}
    (before,) = klass.submissions()
    beside = (("it is no zip",), ("a note",), ("an incident",)), (("a name differs",), (), ())
    for problems, notes, incidents in beside:
        now = replace(before, problems=problems, notes=notes, incidents=incidents)
        klass.submissions = lambda now=now: [now]  # type: ignore[method-assign]
        (report,) = klass.grade(resume=True).reports
        assert (report.problems, report.notes) == (problems, notes)
        assert report.incidents == ("an incident",), "what has happened has happened"
        page = (klass.results.path / "feedback" / f"{before.slug}.txt").read_text("utf-8")
        assert problems[0] in page
    assert klass.asked == []


def collected(klass: Class, files: dict[str, bytes]) -> None:
    """The class submits these files, as they are collected from a folder."""
    folder = put(klass.root / f"in{len(list(klass.root.iterdir()))}", files)
    session = klass.course.session("s1")
    found = collect(folder, session, LIMITS, accept_missing=True).submissions
    klass.submissions = lambda: list(found)  # type: ignore[method-assign]


UNDECIDED = {
    "another file beside it": {"ada.zip": zipped({"work.py": b"none"})},
    "the files twice": {"ada/a/work.py": b"none", "ada/b/work.py": b"sub"},
}


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_told_takes_no_former_result(klass: Class, name: str) -> None:
    right = {"ada/work.py": b"add sub"} if "zip" in str(UNDECIDED[name]) else {}
    collected(klass, {"ada/work.py": b"add sub", "bob/work.py": b"sub"})
    klass.grade()
    collected(klass, {**right, **UNDECIDED[name], "bob/work.py": b"add"})
    for _ in range(2):
        made = klass.grade(resume=True)
        assert {s: p["add"] for s, p in points(made).items()} == {"ada": 40, "bob": 40}
        (note,) = klass.notes
        assert note.startswith("'ada': the former result stays: ")
        assert note.endswith("keep one")
    ada = klass.report().reports[0]
    assert ada.raw_points == 80
    assert ada.notes == (note.removeprefix("'ada': "),), "the staff page says so, once"
    assert not is_undecided(ada)
    collected(klass, {"ada/work.py": b"add", "bob/work.py": b"add"})
    ada = klass.grade(resume=True).reports[0]
    assert (ada.raw_points, ada.notes, klass.notes) == (40, (), [])


@pytest.mark.parametrize("name", UNDECIDED)
def test_what_cannot_be_told_and_has_no_former_result_says_so(klass: Class, name: str) -> None:
    right = {"ada/work.py": b"add sub"} if "zip" in str(UNDECIDED[name]) else {}
    collected(klass, {**right, **UNDECIDED[name], "bob/work.py": b"add"})
    for options in ({}, {"resume": True}):
        ada = klass.grade(**options).reports[0]
        assert (ada.raw_points, is_undecided(ada), has_no_file(ada)) == (0, True, True)
        assert klass.notes == []
    collected(klass, {"ada/work.py": b"add", "bob/work.py": b"add"})
    assert not is_undecided(klass.grade(resume=True).reports[0])


def test_a_submission_of_which_something_was_graded_is_a_result(klass: Class) -> None:
    """Whatever else of it could not be read."""
    (before,) = klass.submissions()[:1]
    odd = replace(before, problems=("'x.zip' was not opened after 20 other archives; keep one",))
    klass.submissions = lambda: [odd]  # type: ignore[method-assign]
    for _ in range(2):
        (report,) = klass.grade(resume=True).reports
        assert (report.raw_points, is_undecided(report), klass.notes) == (80, False, [])


def test_two_of_one_student_of_the_roster_take_no_former_result(klass: Class) -> None:
    roster = table(klass, "roster.csv", "student,name\nada,Ada Lovelace\n")
    klass.modules = {"ada": "add sub"}
    klass.grade(roster=roster)
    klass.modules = {"ada": "add", "Ada Lovelace": "none"}
    made = klass.grade(resume=True)
    assert points(made)["ada"]["add"] == points(made)["ada"]["sub"] == 40
    assert any("both of 'ada'; none was graded" in line for line in klass.notes)
    assert any(line.startswith("'ada': the former result stays") for line in klass.notes)


def test_an_exercise_that_the_course_lost(klass: Class) -> None:
    klass.grade()
    klass.text = klass.text.replace(
        "          - {id: s1.sub, title: Subtract, points: 40}\n", ""
    ).replace("points: 40}", "points: 80}", 1)
    made = klass.grade(resume=True)
    assert points(made)["ada"] == {"add": 80, "essay": 0}
    assert any("s1.sub is not in course.yaml" in line for line in klass.notes)
    old = [results.read_report(path) for path in klass.results.former.glob("ada*.json")]
    assert any(e.id == "s1.sub" and e.points == 40 for report in old for e in report.exercises)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("module"), st.sampled_from(["ada", "bob"]), st.sampled_from(["", "add"])),
        st.tuples(st.just("only"), st.sampled_from(["s1.add", "s1.sub"]), st.booleans()),
        st.tuples(st.just("resume")),
        st.tuples(st.just("grader"), st.integers(0, 3)),
        st.tuples(st.just("tear"), st.sampled_from(["ada", "cleo"])),
        st.tuples(st.just("fault"), st.sampled_from(["ada", "bob"])),
    ),
    max_size=6,
).filter(lambda steps: sum(step[0] == "fault" for step in steps) < batch.MAX_FAILED_RUNS)


@pytest.mark.slow
@given(STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_history_resume_gives_what_a_fresh_run_gives(
    klass: Class, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    klass.root = tmp_path_factory.mktemp("history")
    klass.graders.mkdir()
    klass.modules = {"ada": "add sub", "bob": "sub", "cleo": "none"}
    (klass.graders / "test_work.py").write_text(GRADERS)
    klass.grade()
    for step in steps:
        match step:
            case ("module", str(student), str(text)):
                klass.modules[student] = text
            case ("only", str(exercise), bool(resume)):
                klass.grade(only=(exercise,), resume=resume)
            case ("resume",):
                klass.grade(resume=True)
            case ("grader", int(number)):
                (klass.graders / "test_work.py").write_text(f"{GRADERS}\nVERSION = {number}\n")
            case ("tear", str(student)):
                for path in klass.results.reports.glob(f"{student}*.json"):
                    path.write_bytes(path.read_bytes()[:100])
            case ("fault", str(student)):
                klass.broken = {(student, "sub")}
                klass.grade(resume=True)
                klass.broken = set()
    made = klass.grade(resume=True)
    assert points(made) == {
        student: {"add": 40 * ("add" in text), "sub": 40 * ("sub" in text), "essay": 0}
        for student, text in klass.modules.items()
    }
    assert not any(report.has_tool_error for report in made.reports)
    assert klass.grade(resume=True).graded == 0


# ---- whose folder it is --------------------------------------------------------------------------


def test_a_second_run_has_to_say_what_it_wants(klass: Class) -> None:
    klass.grade()
    before = content(klass.root)
    with pytest.raises(AutograderError, match="--resume"):
        klass.grade()
    assert content(klass.root) == before


@pytest.mark.parametrize("option", [{"resume": True}, {"only": ("s2.add",)}, {}])
def test_results_of_another_session_are_refused(klass: Class, option: dict[str, object]) -> None:
    klass.grade()
    before = content(klass.root)
    with pytest.raises(AutograderError, match="holds results of s1 of test, not of s2"):
        klass.grade(session="s2", **option)
    assert content(klass.root) == before


def test_results_of_another_course_are_refused(klass: Class) -> None:
    klass.grade()
    klass.text = klass.text.replace("id: test\n", "id: other\n")
    with pytest.raises(AutograderError, match="not of s1 of other"):
        klass.grade(resume=True)


def test_a_folder_of_something_else_is_refused(klass: Class) -> None:
    klass.results.path.mkdir()
    (klass.results.path / "thesis.tex").write_text("years of work")
    before = content(klass.root)
    with pytest.raises(AutograderError, match="is not a results folder"):
        klass.grade()
    assert content(klass.root) == before


def test_an_empty_folder_is_fine(klass: Class) -> None:
    klass.results.path.mkdir()
    assert points(klass.grade()) == ALL


def test_a_file_is_no_folder(klass: Class) -> None:
    klass.results.path.write_text("")
    with pytest.raises(AutograderError, match=r"cannot write to .*results: Not a directory"):
        klass.grade()


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_key_that_is_lost_is_not_replaced_by_none(
    klass: Class, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.delenv("AUTOGRADER_SECRET")
    klass.grade()
    before = content(klass.results.reports)
    (klass.results.path / "secret.key").chmod(0o600)
    (klass.results.path / "secret.key").write_text(text)
    klass.modules["bob"] = "add"
    with pytest.raises(AutograderError, match=r"secret\.key is empty"):
        klass.grade(resume=True)
    assert content(klass.results.reports) == before


def test_a_damaged_run_file_is_one_line(klass: Class) -> None:
    klass.grade()
    (klass.results.path / "run.json").write_text("{")
    with pytest.raises(AutograderError, match=r"run\.json is damaged"):
        klass.grade(resume=True)


def test_two_runs_at_once(klass: Class) -> None:
    klass.grade()
    with (
        FileLock(klass.results.path / "run.lock"),
        pytest.raises(AutograderError, match="another command is writing"),
    ):
        klass.grade(resume=True)
    klass.grade(resume=True)


@pytest.mark.parametrize("results_path", ["in/results", "in", "in/deep/er", "./in/../in/r"])
def test_results_among_submissions_are_refused(tmp_path: Path, results_path: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(AutograderError, match="choose another folder"):
        batch.check_folders(tmp_path / "in", tmp_path / results_path)
    batch.check_folders(tmp_path / "in", tmp_path / "inn")


def test_what_is_known_of_a_run(klass: Class) -> None:
    klass.grade()
    run = json.loads((klass.results.path / "run.json").read_text())
    assert (run["course"], run["session"]) == ("test", "s1")
    assert set(run["fingerprints"]) == {"s1.add", "s1.sub", "s1.essay"}
    assert {"python", "torch", "compression-course"} <= set(run["versions"])


# ---- a disk that fills ---------------------------------------------------------------------------


WRITES = 15  # of a run: run.json, four per student, two for the class


@pytest.mark.parametrize("writes", range(WRITES + 1))
def test_a_full_disk_stops_with_a_line_and_loses_nothing(
    klass: Class, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    left = [writes]

    def full(*arguments: object, **options: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(results, "write", full)
    with contextlib.ExitStack() as stack:
        if writes < WRITES:
            error = stack.enter_context(pytest.raises(AutograderError))
        klass.grade()
    if writes < WRITES:
        assert "No space left on device" in str(error.value)
        assert "continue with --resume" in str(error.value)
    monkeypatch.setattr(results, "write", write)
    kept = {report.student for report in klass.results.load().reports}
    made = klass.grade(resume=True)
    assert {student for student, _ in klass.asked} == set(ALL) - kept
    assert points(made) == ALL
    assert not [path for path in klass.results.path.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("stop", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_run_that_stops_before_its_first_record_says_why(
    klass: Class, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    """Small files still fit, so that the pages of an empty class are made."""

    def full(path: Path, *arguments: object, **options: object) -> None:
        if path.parent.name == "reports":
            raise stop
        write(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(results, "write", full)
    expected = AutograderError if isinstance(stop, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        klass.grade()
    assert "There are no results yet" in (klass.results.path / "index.html").read_text("utf-8")
    monkeypatch.setattr(results, "write", write)
    assert points(klass.grade(resume=True)) == ALL


def test_staff_pages_are_written_once_and_lead_to_whoever_is_there(
    klass: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def watched(path: Path, *arguments: object, **options: object) -> None:
        written.append(f"{path.parent.name}/{path.name.partition('-')[0]}")
        write(path, *arguments, **options)  # type: ignore[arg-type]

    def linked(student: str) -> list[tuple[str, str]]:
        (page,) = (klass.results.path / "staff").glob(f"{student}-*.html")
        return re.findall(r'rel="(\w+)">(?:← )?<bdi>(\w+)', page.read_text("utf-8"))

    monkeypatch.setattr(results, "write", watched)
    klass.grade()
    assert [written.count(f"staff/{name}") for name in ALL] == [1, 1, 1]
    assert linked("bob") == [("prev", "ada"), ("next", "cleo")]
    klass.modules["bert"] = "add"
    written.clear()
    klass.grade(resume=True)
    assert [written.count(f"staff/{name}") for name in ("bert", *ALL)] == [1, 1, 1, 0]
    assert linked("ada") == [("next", "bert")]
    assert linked("bert") == [("prev", "ada"), ("next", "bob")]


def test_records_are_durable_and_pages_need_not_be(
    klass: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable: dict[str, bool] = {}

    def watched(path: Path, *arguments: object, **options: bool) -> None:
        durable[path.name] = options.get("durable", False)
        write(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(results, "write", watched)
    klass.grade()
    assert all(durable[path.name] for path in klass.results.reports.glob("*.json"))
    assert durable["run.json"]
    assert not durable["index.html"]


# ---- times ---------------------------------------------------------------------------------------


def table(klass: Class, name: str, text: str) -> Path:
    path = klass.root / name
    path.write_text(text, encoding="utf-8")
    return path


TIMES = """student,time
ada,2027-01-25T22:00:00+01:00
bob,2027-01-26T12:00:00+01:00
"""


def test_without_times_every_report_says_that_no_policy_was_applied(klass: Class) -> None:
    made = klass.grade()
    assert all(report.lateness.unknown for report in made.reports)
    for path in klass.results.path.rglob("feedback/*"):
        assert "late policy was not applied" in path.read_text("utf-8").lower()
    page = (klass.results.path / "index.html").read_text("utf-8")
    assert "Late policy not applied" in page
    row = next(csv.DictReader(io.StringIO((klass.results.path / "grades.csv").read_text())))
    assert (row["days_late"], row["late_penalty_percent"]) == ("", "")


def test_times_act_and_stay(klass: Class) -> None:
    made = klass.grade(times=table(klass, "times.csv", TIMES))
    late = {report.student: report.lateness for report in made.reports}
    assert (late["ada"].penalty, late["bob"].penalty) == (0.0, 0.1)
    assert late["cleo"].unknown
    for again in (klass.grade(resume=True), klass.report()):
        assert {r.student: r.lateness for r in again.reports} == late
    klass.modules["bob"] = "add sub"
    assert klass.grade(resume=True).reports[1].lateness.unknown, "the time was the old files'"


def test_times_can_come_later_and_policy_and_extensions_act_on_raw_points(klass: Class) -> None:
    klass.grade()
    made = klass.report(times=table(klass, "times.csv", TIMES))
    assert {r.student: r.points for r in made.reports} == {"ada": 80, "bob": 36, "cleo": 0}
    klass.text = klass.text.replace("percent: 10", "percent: 50")
    assert klass.report().reports[1].points == 20
    klass.text += "extensions:\n  - {student: bob, session: s1, due: 2027-01-27T00:00:00+01:00}\n"
    made = klass.report()
    assert made.reports[1].points == 40
    assert made.reports[1].lateness.due == "2027-01-27T00:00:00+01:00"
    assert klass.asked == [
        ("ada", "add"),
        ("ada", "sub"),
        ("bob", "add"),
        ("bob", "sub"),
        ("cleo", "add"),
        ("cleo", "sub"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("student,time\nada,2027-01-25\n", ["times.csv:2: time: expected ISO 8601"]),
        ("student,time\nada,2027-01-25T22:00:00\n", ["times.csv:2: time: expected"]),
        ("student,time\nada,yesterday\nbob,soon\n", ["times.csv:2: time", "times.csv:3: time"]),
        ("student,time\nada,2027-01-25T22:00:00Z\nada,2027-01-25T22:00:00Z\n", ["a second time"]),
        ("student,time\nada\n", ["times.csv:2: time: expected ISO 8601"]),
        ("student,time\nada,2027-01-25T22:00:00Z,bob\n", ["2: expected 2 cells, got 3"]),
        ("name,when\nada,x\n", ["expected the columns student, time"]),
        ("", ["expected the columns student, time, got nothing"]),
        ('student,time\n"ada,x\n', ["not CSV"]),
    ],
)
def test_bad_times_apply_nothing(klass: Class, text: str, words: list[str]) -> None:
    klass.grade()
    before = content(klass.results.path)
    with pytest.raises(InputErrors) as error:
        klass.report(times=table(klass, "times.csv", text))
    shown = "\n".join([str(error.value), *error.value.lines])
    assert all(word in shown for word in words), shown
    assert content(klass.results.path) == before


@pytest.mark.parametrize(
    "text",
    [
        "student;time\r\nada;{}\r\n",
        "\ufeffstudent,time,,\nada,{},,\n,,,\n",
        "student,time\nada,{},\n",
        "student,time\n  ADA\u200b ,{}\n",
    ],
    ids=["semicolons", "emptied columns", "a comma too many", "another spelling"],
)
def test_tables_as_spreadsheets_and_people_write_them(klass: Class, text: str) -> None:
    klass.grade()
    time = "2027-01-26T12:00:00+01:00"
    made = klass.report(times=table(klass, "times.csv", text.format(time)))
    assert made.reports[0].lateness.submitted_at == time
    assert klass.notes == []


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["Zoë Müller", "zoë  müller", "ZOË\u00a0MÜLLER"])
def test_a_name_has_many_spellings_everywhere(
    klass: Class, form: Literal["NFC", "NFD"], name: str
) -> None:
    klass.modules = {"Zoë Müller": "add sub", "Zoe Muller": "add sub"}
    name = unicodedata.normalize(form, name)
    klass.text += (
        f"extensions:\n  - {{student: '{name}', session: s1, due: 2027-01-27T00:00:00+01:00}}\n"
    )
    times = f"student,time\n{name},2027-01-26T12:00:00+01:00\n"
    marks = f"student;exercise;points\n{name};essay;2,5\n"
    made = klass.grade(
        times=table(klass, "times.csv", times), marks=table(klass, "marks.csv", marks)
    )
    other, zoe = sorted(made.reports, key=lambda report: report.student)
    assert (zoe.points, zoe.lateness.days_late, klass.notes) == (82.5, 0, [])
    assert zoe.lateness.due == "2027-01-27T00:00:00+01:00"
    assert (other.raw_points, other.lateness.submitted_at) == (80, None)


def namesakes(klass: Class) -> None:
    """Ana Silva was graded; then another Ana Silva submits."""
    ana = replace(
        submission("Ana Silva 11", {"work.py": "add sub"}),
        student="Ana Silva",
        identity=Identity(name="Ana Silva", layout="moodle", platform_id="11"),
    )
    other = replace(
        submission("Ana Silva 12", {"work.py": "add"}),
        identity=replace(ana.identity, platform_id="12"),
    )
    klass.submissions = lambda: [ana]  # type: ignore[method-assign]
    klass.grade()
    both = [replace(ana, student="Ana Silva 11"), other]
    klass.submissions = lambda: both  # type: ignore[method-assign]


@pytest.mark.parametrize("name", ["Ana Silva", "ANA SILVA", "ana silva"])
def test_a_name_that_two_have_is_refused(klass: Class, name: str) -> None:
    namesakes(klass)
    times = table(klass, "times.csv", f"student,time\n{name},2027-01-27T12:00:00+01:00\n")
    marks = table(klass, "marks.csv", f"student,exercise,points\n{name},essay,3\n")
    line = f"csv:2: '{name}' may be 'Ana Silva 11' or 'Ana Silva 12'; write which"

    def refused(run: object, **options: object) -> None:
        with pytest.raises(InputErrors) as error:
            run(**options)  # type: ignore[operator]
        assert [each.partition(".")[2] for each in error.value.lines] == [line]

    for tables in ({"times": times}, {"marks": marks}):
        refused(klass.grade, resume=True, **tables)
    made = klass.grade(resume=True)
    assert [r.student for r in made.reports] == ["Ana Silva 11", "Ana Silva 12"]
    assert {student for student, _ in klass.asked} == {"Ana Silva 12"}
    for tables in ({"times": times}, {"marks": marks}):
        refused(klass.report, **tables)
    for which in ("Ana Silva 12", "12", slug("Ana Silva 12")):
        marks.write_text(f"student,exercise,points\n{which},essay,3\n")
        given = {s: p["essay"] for s, p in points(klass.report(marks=marks)).items()}
        assert given == {"Ana Silva 11": 0, "Ana Silva 12": 3}


def test_of_records_that_show_one_name_their_files_tell_them_apart() -> None:
    """As records of before have it, whose first student is shown without a number."""
    students = [
        StudentNames("Ana Silva", "ana-1", frozenset({"Ana Silva"}), frozenset({"11"})),
        StudentNames("Ana Silva 12", "ana-2", frozenset({"Ana Silva"}), frozenset({"12"})),
    ]
    find = finder(students)
    assert find("Ana Silva") == tuple(students)
    assert may_be(find("ana silva")) == "may be 'ana-1' or 'Ana Silva 12'; write which"
    assert [find(name) for name in ("11", "ana-2", "ana silva 12")] == [
        *((students[0],), (students[1],), (students[1],)),
    ]
    assert find("Bob") == ()


def test_a_students_own_name_counts_before_anothers_number() -> None:
    students = [StudentNames("12", "a"), StudentNames("13", "b", ids=frozenset({"12"}))]
    assert [each.slug for each in finder(students)("12")] == ["a"]


def test_an_extension_of_a_name_that_two_have_is_a_note(klass: Class) -> None:
    namesakes(klass)
    due = "session: s1, due: 2027-01-27T00:00:00+01:00"
    klass.text += f"extensions:\n  - {{student: Ana Silva, {due}}}\n"
    klass.grade(resume=True)
    assert klass.notes == [
        "the extension of 'Ana Silva' is not applied: it may be 'Ana Silva 11' or 'Ana Silva 12'; "
        "write which"
    ]


@pytest.mark.parametrize("wrong", ["times", "marks"])
@pytest.mark.parametrize("first", [False, True])
def test_a_refused_table_changes_nothing(klass: Class, wrong: str, first: bool) -> None:
    if not first:
        klass.grade()
    before = content(klass.results.path)
    good = {
        "roster": table(klass, "roster.csv", "student,s1 due\nada,2027-02-20T12:00:00+01:00\n"),
        "times": table(klass, "times.csv", TIMES),
        "marks": table(klass, "marks.csv", MARKS),
    }
    good[wrong].write_text(good[wrong].read_text() + "ada,poem,99\n")
    for run in (klass.grade,) if first else (klass.grade, klass.report):
        with pytest.raises(InputErrors):
            run(**good, **({"resume": True} if run == klass.grade else {}))
        now = content(klass.results.path)
        assert {name for name in now if name != "run.lock"} == {*before} - {"run.lock"}
        assert {name: data for name, data in now.items() if name in before} == before


def test_an_extension_of_nobody_is_a_note(klass: Class) -> None:
    due = "session: s1, due: 2027-01-27T00:00:00+01:00"
    klass.text += f"extensions:\n  - {{student: Bob, {due}}}\n  - {{student: bop, {due}}}\n"
    for run in (klass.grade, klass.report):
        run()
        assert klass.notes == ["extensions in s1 of names that nobody here has: 'bop'"]
    klass.report(roster=table(klass, "roster.csv", "student\nada\nbob\ncleo\nbop\n"))
    assert not any("extensions" in line for line in klass.notes)


def test_a_time_of_somebody_who_did_not_submit_is_a_note(klass: Class) -> None:
    klass.grade(times=table(klass, "times.csv", TIMES + "zoe,2027-01-26T12:00:00+01:00\n"))
    assert any("no submission of 'zoe'" in line for line in klass.notes)


# ---- points by hand ------------------------------------------------------------------------------

MARKS = """student,exercise,points,comment,by
ada,essay,17.5,"well argued, short",Grace
bob,s1.add,25,off by one only,Grace
"""


def test_marks_count_beside_automatic_points(klass: Class) -> None:
    klass.grade()
    made = klass.report(marks=table(klass, "marks.csv", MARKS))
    by_name = {report.student: report for report in made.reports}
    ada, bob = by_name["ada"], by_name["bob"]
    assert (ada.raw_points, ada.automatic_points, ada.unmarked) == (97.5, 80, 0)
    assert ada.exercises[2].outcome is Outcome.PARTIAL
    assert (bob.raw_points, bob.automatic_points, bob.unmarked) == (65, 40, 1)
    assert bob.exercises[0].outcome is Outcome.FAILED, "the graders' results stay"
    page = (klass.results.path / "feedback" / f"{bob.slug}.html").read_text("utf-8")
    assert "Marked by hand by Grace: 25 of 40 instead of 0 automatic points. off by one" in page
    rows = {
        row["student"]: row
        for row in csv.DictReader(io.StringIO((klass.results.path / "grades.csv").read_text()))
    }
    assert (rows["bob"]["s1.add"], rows["bob"]["s1.add automatic"]) == ("25", "0")
    assert (rows["ada"]["total"], rows["ada"]["automatic_total"]) == ("97.5", "80")


def test_marks_stay_with_the_folder(klass: Class) -> None:
    klass.grade()
    klass.report(marks=table(klass, "marks.csv", MARKS))
    (klass.root / "marks.csv").unlink()
    klass.modules["ada"] = "add"
    made = klass.grade(resume=True)
    assert points(made)["ada"] == {"add": 40, "sub": 0, "essay": 17.5}
    made = klass.report(marks=table(klass, "marks.csv", "student,exercise,points\nbob,add,5\n"))
    assert points(made)["ada"]["essay"] == 0, "a new table replaces the old one"


def test_rows_without_points_are_no_marks(klass: Class) -> None:
    """As a template has them: everybody, and points where somebody has given some."""
    text = "student,exercise,points,comment,by\nada,essay,17.5\nbob,essay,,to do,\ncleo,essay\n"
    made = klass.grade(marks=table(klass, "marks.csv", text))
    assert {s: p["essay"] for s, p in points(made).items()} == {"ada": 17.5, "bob": 0, "cleo": 0}
    assert [report.unmarked for report in made.reports] == [0, 1, 1]


def test_marks_before_grading(klass: Class) -> None:
    made = klass.grade(marks=table(klass, "marks.csv", MARKS))
    assert points(made)["ada"]["essay"] == 17.5


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("zoe,essay,3", "no results of a student 'zoe'"),
        ("ada,poem,3", "'poem' is not an exercise of s1"),
        ("ada,essay,21", "points: expected 0 to 20, got '21'"),
        ("ada,essay,-1", "points: expected 0 to 20, got '-1'"),
        ("ada,essay,nan", "points: expected 0 to 20, got 'nan'"),
        ("ada,essay,many", "points: expected 0 to 20, got 'many'"),
        ("ada,essay,1_0", "points: expected 0 to 20, got '1_0'"),
        ("ada,essay,1e1", "points: expected 0 to 20, got '1e1'"),
        ("ada,essay,3\nada,s1.essay,4", "a second row for ada and s1.essay"),
    ],
)
def test_a_bad_mark_is_a_line_and_nothing_is_applied(klass: Class, row: str, words: str) -> None:
    klass.grade()
    before = content(klass.results.path)
    path = table(klass, "marks.csv", f"student,exercise,points\nbob,add,5\n{row}\n")
    with pytest.raises(InputErrors) as error:
        klass.report(marks=path)
    assert any(words in line for line in error.value.lines)
    assert len(error.value.lines) == 1
    assert "nothing was applied" in str(error.value)
    assert content(klass.results.path) == before


def test_a_kept_mark_of_a_lost_exercise_is_a_note(klass: Class) -> None:
    klass.grade()
    klass.report(marks=table(klass, "marks.csv", MARKS))
    klass.text = klass.text.replace(
        "    exercises:\n      - {id: s1.essay, title: Essay, points: 20, graded: by hand}\n", ""
    ).replace("title: Subtract, points: 40", "title: Subtract, points: 60")
    made = klass.grade(resume=True)
    assert any("this mark is not applied" in line for line in klass.notes)
    assert points(made)["bob"] == {"add": 25, "sub": 60}


# ---- the model solution first --------------------------------------------------------------------


def solution(klass: Class, text: str) -> None:
    folder = klass.root / "solutions" / "s1_test"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.py").write_text(text)


def test_graders_that_fail_the_model_solution_grade_nobody(klass: Class) -> None:
    solution(klass, "sub")
    with pytest.raises(AutograderError, match=r"do not give the model solution.*s1\.add, test"):
        klass.grade()
    assert {student for student, _ in klass.asked} == {"model solution"}
    assert klass.results.load().reports == ()
    klass.grade(only=("s1.sub",))


def test_the_model_solution_is_tried_once_per_fingerprint(klass: Class) -> None:
    solution(klass, "add sub")
    klass.grade()
    assert klass.asked[:2] == [("model solution", "add"), ("model solution", "sub")]
    for change in (None, changed_graders):
        if change:
            change(klass)
        klass.modules["ada"] += " "
        klass.grade(resume=True)
        assert any(name == "model solution" for name, _ in klass.asked) == bool(change)
