"""Downloads of Canvas and Moodle, graded, are taken back by what their importers do."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from autograder.cli.app import app
from autograder.course import Course, Session, parse_course
from autograder.errors import AutograderError
from autograder.grading.enrolment import enrol
from autograder.grading.results import ResultsFolder, present_run
from autograder.grading.roster import Person, Roster
from autograder.integrations import canvas, moodle
from autograder.integrations.feedback_archive import archive, names_of_download
from autograder.integrations.gradebook import Sheet, read_sheet
from autograder.records import ExerciseResult, Identity, Lateness, Mark, Outcome, Report
from autograder.reports.csv_report import grades_csv
from autograder.submissions import Submission, collect
from autograder.submissions.identity import slug
from autograder.submissions.submission import content_hash
from tests.collect.downloads import BOTH, LIMITS, put, session, under, zipped
from tests.grading.support import COURSE
from tests.integrations.importers import (
    CanvasCourse,
    MoodleAssignment,
    Refused,
    gradebook,
    worksheet,
)

S1: Session = parse_course(COURSE).session("s1")
RULES: Course = parse_course(COURSE)
COLUMNS = {"Test (501)": "100", "Other homework (502)": "20"}

USERS = {
    11: ("Lovelace, Ada", "sis11", "ada@x.org"),
    12: ("O'Hara, Bob", "sis12", "bob"),
    13: ("Ковалевская, Софья", "", "sofia"),
    14: ("=1+1, Jane", "", "jane"),
    15: ("Müller-Łódź, Zoë", "", "zoe"),
}


def report(name: str, points: float, **identity: object) -> Report:
    results = (
        ExerciseResult("s1.add", "Add", "work", Outcome.PARTIAL, points, 40.0),
        ExerciseResult("s1.sub", "Subtract", "work", Outcome.FAILED, 0.0, 40.0),
        ExerciseResult("s1.essay", "Essay", "", Outcome.FAILED, 0.0, 20.0, by_hand=True),
    )
    student = str(identity.pop("student", name))
    return Report(
        "test",
        "s1",
        student,
        slug(f"{student}{identity.get('platform_id', '')}"),
        "0" * 64,
        results,
        identity=Identity(name=name, **identity),  # type: ignore[arg-type]
    )


def graded(submissions: tuple[Submission, ...]) -> list[Report]:
    """Reports whose points are 10, 11, … in the order of the platform's ids."""
    ordered = sorted(submissions, key=lambda s: int(s.identity.platform_id))
    return [
        replace(report(s.student, 10.0 + i), slug=s.slug, identity=s.identity)
        for i, s in enumerate(ordered)
    ]


def sheet(tmp_path: Path, data: bytes, name: str = "gradebook.csv") -> Sheet:
    (tmp_path / name).write_bytes(data)
    return read_sheet(tmp_path / name)


@pytest.fixture
def course() -> CanvasCourse:
    attachments = {900 + user: user for user in USERS}
    return CanvasCourse(USERS, {501: "Test", 502: "Other homework"}, attachments)


@pytest.fixture
def canvas_reports(tmp_path: Path, course: CanvasCourse) -> list[Report]:
    files = {course.download_name(u, 900 + u, "ada_s3.zip", u == 12): zipped(BOTH) for u in USERS}
    return graded(collect(put(tmp_path / "in", files), session(), LIMITS).submissions)


def canvas_rows() -> list[tuple[str, int, str, str]]:
    return [(name, ident, sis, login) for ident, (name, sis, login) in USERS.items()]


# ---- Canvas --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_canvas_takes_its_gradebook_back(
    tmp_path: Path, course: CanvasCourse, canvas_reports: list[Report], delimiter: str
) -> None:
    rows = [*canvas_rows(), ("Student, Test", 99, "", "x")]
    export = gradebook(rows, COLUMNS, delimiter)
    filled = canvas.fill(sheet(tmp_path, export), canvas_reports, None, S1)
    taken = replace_users(course, {99: ("Student, Test", "", "x")}).import_gradebook(
        filled.sheet.to_bytes()
    )
    expected = {(user, 501): str(10 + i) for i, user in enumerate(USERS)} | {(99, 501): "7"}
    assert taken == expected
    assert filled.grades == len(USERS)
    back = list(csv.reader(io.StringIO(filled.sheet.to_bytes().decode()), delimiter=delimiter))
    assert [row[0] for row in back[2:]] == [row[0] for row in rows]
    assert back[1][0] == "    Points Possible"


def replace_users(course: CanvasCourse, more: dict[int, tuple[str, str, str]]) -> CanvasCourse:
    return replace(course, users={**course.users, **more})


def test_our_own_csv_is_no_gradebook_of_canvas(course: CanvasCourse) -> None:
    with pytest.raises(Refused):
        course.import_gradebook(grades_csv([report("ada", 10)]).encode())


def test_canvas_takes_the_feedback_back(
    tmp_path: Path, course: CanvasCourse, canvas_reports: list[Report]
) -> None:
    filled = canvas.fill(
        sheet(tmp_path, gradebook(canvas_rows(), COLUMNS)), canvas_reports, None, S1
    )
    data = archive(canvas_reports, filled.feedback, RULES, S1)
    pages, ignored = course.import_comments(data)
    assert (set(pages), ignored) == (set(USERS), [])
    assert all(f"{10 + i}" in pages[user] for i, user in enumerate(USERS))


def test_points_are_scaled_to_those_possible(tmp_path: Path, canvas_reports: list[Report]) -> None:
    data = gradebook(canvas_rows(), {"s1 (501)": "20,0"}, ";")
    filled = canvas.fill(sheet(tmp_path, data), canvas_reports, None, S1)
    assert [row[-1] for row in filled.sheet.rows[2:]] == ["2", "2.2", "2.4", "2.6", "2.8"]
    assert any("out of 20" in line for line in filled.lines)


@pytest.mark.parametrize(
    ("cell", "grade"),
    [
        ("50", "7.5"),
        ("50,0", "7.5"),
        ("1,000.00", "150"),
        ("1.000,00", "150"),
        ("1\u202f000,00", "150"),
        ("", "15"),
        ("-", "15"),
        ("0", "15"),
        ("A", "15"),
    ],
)
def test_maxima_are_read_in_the_writing_of_any_country(
    tmp_path: Path, cell: str, grade: str
) -> None:
    text = f'Identifier,Grade,Maximum Grade,Last modified (grade)\n,,,\nParticipant 1,,"{cell}",-\n'
    made = moodle.fill(
        sheet(tmp_path, text.encode()),
        [report("Ada", 15, layout="moodle", platform_id="1")],
        None,
        S1,
    )
    assert [row[1] for row in made.sheet.rows] == ["Grade", grade]


def test_nothing_of_others_is_overwritten(tmp_path: Path, canvas_reports: list[Report]) -> None:
    rows = list(csv.reader(io.StringIO(gradebook(canvas_rows(), COLUMNS).decode())))
    rows[2][5] = "EX"
    rows.append(["Zed", "77", "", "zed", "A", "3", "7", "7", "C"])
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    add, *others = canvas_reports[1].exercises
    broken = replace(
        canvas_reports[1], exercises=(replace(add, outcome=Outcome.TOOL_ERROR), *others)
    )
    some = replace(canvas_reports[2], exercises=canvas_reports[2].exercises[:1])
    reports = [canvas_reports[0], broken, some, canvas_reports[3], report("Late Comer", 5)]
    filled = canvas.fill(sheet(tmp_path, out.getvalue().encode()), reports, None, S1)
    assert [row[-1] for row in filled.sheet.rows[2:]] == ["EX", "7", "7", "13", "7", "3"]
    assert all(len(row) == 6 for row in filled.sheet.rows)
    text = "\n".join(filled.lines)
    assert "'lovelaceada' is excused" in text
    assert "graded again" in text
    assert "has 2 exercises that were not graded" in text
    assert "no row in gradebook.csv: 'Late Comer'" in text


def test_the_roster_and_logins_tie_rows_to_students(tmp_path: Path) -> None:
    reports = [
        report("Somebody", 20, student="matr-1"),
        report("Other", 21, student="bob"),
        report("Sofia", 22, student="s3", email="SOFIA"),
        report("Zoë Müller-Łódź", 23),
        report("11", 24, student="x"),
    ]
    roster = Roster((Person("matr-1", "Somebody", "", "", "", {"canvas": "11"}),))
    filled = canvas.fill(sheet(tmp_path, gradebook(canvas_rows(), COLUMNS)), reports, roster, S1)
    assert [row[-1] for row in filled.sheet.rows[2:]] == ["20", "21", "22", "7", "23"]


def test_two_of_one_name_are_not_guessed_at(tmp_path: Path) -> None:
    reports = [
        report("Kim Lee", 1, student="k1", layout="moodle", platform_id="1"),
        report("Kim Lee", 2, student="k2", layout="moodle", platform_id="2"),
        report("Ada Lovelace", 3),
    ]
    data = gradebook([("Lee, Kim", 31, "", ""), ("Lovelace, Ada", 11, "", "")], COLUMNS)
    filled = canvas.fill(sheet(tmp_path, data), reports, None, S1)
    assert [row[-1] for row in filled.sheet.rows[2:]] == ["7", "3"]
    assert any("may be 'k1' or 'k2'" in line for line in filled.lines)


def of_canvas(name: str, points: float, ident: str, **more: object) -> Report:
    download = f"{name}_{ident}_9{ident}_" if ident else ""
    return report(name, points, layout="canvas", platform_id=ident, download=download, **more)


def canvas_cells(tmp_path: Path, reports: list[Report], *rows: tuple[str, int, str, str]) -> object:
    """The grades and lines of a gradebook with these rows; None for what it was."""
    data = gradebook(rows, COLUMNS)
    filled = canvas.fill(sheet(tmp_path, data), reports, None, S1)
    cells = [row[-1] if row[-1] != "7" else None for row in filled.sheet.rows[2:]]
    return cells, "\n".join(filled.lines)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("other", ["Silva, Ana", "Ana, Silva"])
def test_canvas_namesakes_keep_their_own_grades(tmp_path: Path, other: str, turned: bool) -> None:
    rows = [(other, 12, "", "ana2"), ("Silva, Ana", 11, "", "ana1"), ("Bob", 13, "", "bob")]
    rows = rows[::-1] if turned else rows
    reports = [of_canvas("silvaana", 80, "11"), of_canvas("bob", 50, "13")]
    cells, lines = canvas_cells(tmp_path, reports, *rows)
    expected = [None, "80", "50"]
    assert cells == (expected[::-1] if turned else expected)
    assert f"'{other}'" not in lines


def test_a_row_of_another_id_never_gets_a_namesakes_grade(tmp_path: Path) -> None:
    reports = [of_canvas("silvaana", 80, "11"), of_canvas("bob", 50, "13")]
    rows = [("Silva, Ana", 12, "", "silvaana"), ("Bob", 13, "", "bob")]
    cells, lines = canvas_cells(tmp_path, reports, *rows)
    assert cells == [None, "50"]
    assert "'Silva, Ana': has the name of 'silvaana', but the id '12', not '11'" in lines
    assert "no row in gradebook.csv: 'silvaana'" in lines


def test_a_name_has_to_be_one_rows_and_one_reports(tmp_path: Path) -> None:
    rows = [("Silva, Ana", 12, "", "a"), ("Ana, Silva", 11, "", "b"), ("Bob", 13, "", "bob")]
    reports = [report("Ana Silva", 80, layout="plain"), report("bob", 50, layout="plain")]
    cells, lines = canvas_cells(tmp_path, reports, *rows)
    assert cells == [None, None, "50"]
    for row in ("row 3, 'Silva, Ana'", "row 4, 'Ana, Silva'"):
        assert f"{row}: may be 'Ana Silva', and so may another row; left as it is" in lines
    assert "no row in gradebook.csv: 'Ana Silva'" in lines


def test_the_surest_way_comes_first_whatever_the_order_of_rows(tmp_path: Path) -> None:
    """The login of one is the name of another, whose row stands before."""
    rows = [("Kim", 21, "", "lee"), ("Lee", 22, "", "kim"), ("Ada", 23, "", "ada@x.org")]
    reports = [
        report("kim", 1, layout="plain"),
        report("lee", 2, layout="plain"),
        report("x", 3, layout="plain", email="ADA@x.org"),
    ]
    cells, _ = canvas_cells(tmp_path, reports, *rows)
    assert cells == ["2", "1", "3"]


def test_the_downloads_id_counts_before_the_rosters(tmp_path: Path) -> None:
    roster = Roster((Person("ana", "Ana Silva", "", "", "", {"canvas": "12"}),))
    reports = [of_canvas("silvaana", 80, "11", student="ana"), report("bob", 50)]
    data = gradebook([("X", 12, "", ""), ("Y", 11, "", ""), ("Bob", 13, "", "")], COLUMNS)
    filled = canvas.fill(sheet(tmp_path, data), reports, roster, S1)
    assert [row[-1] for row in filled.sheet.rows[2:]] == ["7", "80", "50"]


def test_another_e_mail_beside_the_name_is_said(tmp_path: Path) -> None:
    reports = [report("Ana Silva", 80, layout="plain", email="a1@x.org")]
    cells, lines = canvas_cells(tmp_path, reports, ("Silva, Ana", 12, "", "a2@x.org"))
    assert cells == ["80"]
    assert "found by this name, though its e-mail is 'a2@x.org', not 'a1@x.org'" in lines


@pytest.mark.parametrize(
    ("session", "columns", "chosen"),
    [
        ("s4", ["Distillation reading quiz (54)", "HW4 (55)"], []),
        ("s4", ["Distillation reading quiz (54)", "distillation  (55)"], [1]),
        ("s4", ["Distillation reading quiz (54)", "S4: homework (55)"], [1]),
        ("s4", ["Distillation reading quiz (54)", "s4_distillation (55)"], [1]),
        ("s4", ["Distillation (54)", "s4 quiz (55)", "HW4 (56)"], [0, 1]),
        ("s7", ["Final project proposal (54)", "Project hand-in (55)"], []),
        ("s7", ["Final project proposal (54)", "Final project (55)"], [1]),
        ("s1", ["és1 (54)", "s10 (55)", "s1-in (56)"], [2]),
    ],
)
def test_which_column_is_filled(
    tmp_path: Path, session: str, columns: list[str], chosen: list[int]
) -> None:
    titles = {"s4": "Distillation", "s7": "Final project", "s1": "Test"}
    folders = {"s4": "s4_distillation", "s7": "s7_final_project", "s1": "s1_test"}
    part = S1.model_copy(
        update={"id": session, "title": titles[session], "folder": folders[session]}
    )
    data = gradebook([("Ada", 11, "", "")], dict.fromkeys(columns, "100"))
    made = sheet(tmp_path, data)
    if len(chosen) == 1:
        filled = canvas.fill(made, [report("Ada", 1)], None, part)
        assert filled.sheet.header[-1] == columns[chosen[0]]
        said = repr(" ".join(columns[chosen[0]].split()))
        assert any(said in line for line in filled.lines)
        return
    with pytest.raises(AutograderError) as caught:
        canvas.fill(made, [report("Ada", 1)], None, part)
    line = str(caught.value)
    listed = chosen or range(len(columns))
    assert [repr(name) in line for name in columns] == [i in listed for i in range(len(columns))]
    assert "--column" in line
    assert "\n" not in line


def test_a_column_that_is_named_twice_is_not_guessed_at(tmp_path: Path) -> None:
    data = gradebook([("Ada", 11, "", "")], {"Quiz (1)": "1", "Quiz (2)": "1", "s1 (3)": "1"})
    with pytest.raises(AutograderError, match=r"no single column 'Quiz'.*'Quiz \(2\)'$"):
        canvas.fill(sheet(tmp_path, data), [report("Ada", 1)], None, S1, "Quiz")


def test_what_is_no_result_changes_no_cell_and_zeros_are_said(tmp_path: Path) -> None:
    problem = "'ada/' and 'ada.zip' may be the same student's; none was graded, keep one"
    reports = [
        replace(report("ada", 0), problems=(problem,), submission_sha256=content_hash({})),
        replace(report("bob", 0), submission_sha256=content_hash({})),
        report("cleo", 5),
    ]
    rows = [(name, ident, "", "") for name, ident in (("ada", 1), ("bob", 2), ("cleo", 3))]
    cells, lines = canvas_cells(tmp_path, reports, *rows)
    assert cells == [None, "0", "5"]
    assert "'ada' has several submissions of which none was graded; left as it is" in lines
    assert "0 points, since none of the session's files was there: 'bob'" in lines
    by_hand = tuple(replace(e, mark=Mark(e.maximum / 2)) for e in reports[0].exercises)
    cells, _ = canvas_cells(tmp_path, [replace(reports[0], exercises=by_hand)], *rows)
    assert cells == ["50", None, None], "somebody has looked and marked everything"
    data = worksheet([(ident, name, "") for name, ident, _, _ in rows])
    filled = moodle.fill(sheet(tmp_path, data), reports, None, S1)
    assert [row[4] for row in filled.sheet.rows[1:]] == ["", "0", "2.5"]
    assert any("'ada' has several submissions" in line for line in filled.lines)


@pytest.mark.parametrize(
    ("data", "column", "message"),
    [
        (b"a,b\n1,2\n", None, "no gradebook of Canvas"),
        (b"", None, "is empty"),
        (b"\xff\xfe", None, "not UTF-8"),
        (b'"a,b', None, "not CSV"),
        (b"Student,ID,Section,s1 (1)\nx,1\n", None, "row 2 has 2 cells"),
        (b"Student,ID,Section,A (1)\n", None, "names s1; give --column with one of 'A .1.'"),
        (b"Student,ID,Section,s1 (1),s1 b (2)\n", None, "no single column"),
        (b"Student,ID,Section,A (1),B (2)\n", "C", "no column 'C'"),
        (b"Student,ID,Section,s1 (1)\nZed,7,A,\n", None, "is it of another course"),
        (b"Student,ID,Section,s1 (1)\nAda,7,A,\nAda,8,A,\n", None, "may be 'Ada', and so may"),
        (b"Student,ID,Section,s1 (1)\n  Points Possible,,,(read only)\n", None, "computes"),
    ],
)
def test_what_is_no_gradebook_is_one_line(
    tmp_path: Path, data: bytes, column: str | None, message: str
) -> None:
    with pytest.raises(AutograderError, match=message) as caught:
        canvas.fill(sheet(tmp_path, data), [report("Ada", 1)], None, S1, column)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["B (2)", "B", "2"])
def test_a_column_by_header_title_or_id(tmp_path: Path, column: str) -> None:
    data = b"Student,ID,Section,A (1),B (2)\nAda,7,A,,\n"
    filled = canvas.fill(sheet(tmp_path, data), [report("Ada", 1.5)], None, S1, column)
    assert filled.sheet.rows[1] == ("Ada", "7", "A", "1.5")


# ---- Moodle --------------------------------------------------------------------------------------

NAMES = {
    101: "Ada Lovelace",
    102: "Bob O'Hara, jun.",
    103: "Софья Ковалевская",
    104: "=1+1",
    105: "Zoë Müller_Łódź",
    106: "Kim Lee",
    107: "Kim Lee",
}


def moodle_rows() -> list[tuple[int, str, str]]:
    return [(ident, name, f"u{ident}@x.org") for ident, name in NAMES.items()]


@pytest.mark.parametrize("old", [True, False])
def test_moodle_takes_worksheet_and_feedback_back(tmp_path: Path, old: bool) -> None:
    assignment = MoodleAssignment(NAMES)
    files: dict[str, bytes] = {}
    for ident in NAMES:
        files |= under(assignment.download_name(ident, old))
    reports = graded(collect(put(tmp_path / "in", files), session(), LIMITS).submissions)
    filled = moodle.fill(sheet(tmp_path, worksheet(moodle_rows())), reports, None, S1)
    taken = assignment.import_worksheet(filled.sheet.to_bytes())
    assert {ident: grade for ident, (grade, _) in taken.items()} == {
        ident: f"{(10 + i) / 2:g}" for i, ident in enumerate(NAMES)
    }
    assert taken[101][1] == "10 of 100 points; see feedback.html"
    pages = assignment.import_feedback(archive(reports, filled.feedback, RULES, S1))
    assert {ident: file.lstrip("/") for ident, (file, _) in pages.items()} == dict.fromkeys(
        NAMES, "feedback.html"
    )
    for i, ident in enumerate(NAMES):
        assert f"{10 + i} " in pages[ident][1] or f">{10 + i}<" in pages[ident][1]
    before = list(csv.reader(io.StringIO(worksheet(moodle_rows()).decode("utf-8-sig"))))
    after = list(csv.reader(io.StringIO(filled.sheet.to_bytes().decode("utf-8-sig"))))
    changed = {"Grade", "Feedback comments"}
    kept = [i for i, name in enumerate(before[0]) if name not in changed]
    assert [[row[i] for i in kept] for row in after] == [[row[i] for i in kept] for row in before]
    assert filled.sheet.to_bytes().startswith(b"\xef\xbb\xbf")


def of_moodle(name: str, points: float, ident: int, **more: object) -> Report:
    download = f"{name}_{ident}_assignsubmission_file_/"
    return report(name, points, layout="moodle", platform_id=str(ident), download=download, **more)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("other", ["Ana Silva", "Silva Ana"])
def test_moodle_namesakes_keep_their_own_grades_and_pages(
    tmp_path: Path, other: str, turned: bool
) -> None:
    rows = [(12, other, "a2@x.org"), (11, "Ana Silva", "a1@x.org")]
    filled = moodle.fill(
        sheet(tmp_path, worksheet(rows[::-1] if turned else rows)),
        [of_moodle("Ana Silva", 80, 11)],
        None,
        S1,
    )
    assignment = MoodleAssignment({11: "Ana Silva", 12: other})
    taken = assignment.import_worksheet(filled.sheet.to_bytes())
    assert {ident: grade for ident, (grade, _) in taken.items()} == {11: "40", 12: ""}
    (name,) = filled.feedback.values()
    assert name == "Ana Silva_11_assignsubmission_file_/feedback.html"


def test_a_teams_number_is_no_participants(tmp_path: Path) -> None:
    """A team of Moodle, without a roster that says who is in it."""
    rows = [(12, "Bob Hope", "b@x.org"), (13, "Ada Lovelace", "a@x.org")]
    reports = [of_moodle("Team Red", 80, 12), of_moodle("Ada Lovelace", 50, 13)]
    filled = moodle.fill(sheet(tmp_path, worksheet(rows)), reports, None, S1)
    assert [row[4] for row in filled.sheet.rows[1:]] == ["", "25"]
    assert any("no row in gradebook.csv: 'Team Red'" in line for line in filled.lines)


def test_a_roster_has_moodles_numbers_of_another_assignment(tmp_path: Path) -> None:
    people = (
        Person("ada", "Ada Lovelace", "", "", "", {"moodle": "12"}),
        Person("bob", "Bob Hope", "b@x.org", "", "", {"moodle": "77"}),
        Person("kim1", "Kim Lee", "", "", "", {"moodle": "14"}),
        Person("kim2", "Kim Lee", "", "", "", {"moodle": "15"}),
    )
    rows = [(12, "Bob Hope", "b@x.org"), (13, "Ada Lovelace", "a@x.org")]
    rows += [(15, "Kim Lee", ""), (14, "Kim Lee", "")]
    plain = [
        report(person.name, 10.0 * i, student=person.student, layout="plain")
        for i, person in enumerate(people, start=1)
    ]
    filled = moodle.fill(sheet(tmp_path, worksheet(rows)), plain, Roster(people), S1)
    assert [row[4] for row in filled.sheet.rows[1:]] == ["10", "5", "20", "15"]


def test_a_team_gets_one_row_and_page_per_member(tmp_path: Path) -> None:
    team = {"layout": "moodle", "download": "Team 7_55_assignsubmission_file_/"}
    reports = [
        report("Ada Lovelace", 40, student="ada", platform_id="101", **team),
        report("Kim Lee", 40, student="kim", platform_id="106", **team),
    ]
    filled = moodle.fill(sheet(tmp_path, worksheet(moodle_rows())), reports, None, S1)
    assignment = MoodleAssignment(NAMES)
    taken = assignment.import_worksheet(filled.sheet.to_bytes())
    assert [ident for ident, (grade, _) in taken.items() if grade] == [101, 106]
    pages = assignment.import_feedback(archive(reports, filled.feedback, RULES, S1))
    assert set(pages) == {101, 106}


@pytest.mark.parametrize("by", ["Ada Lovelace", "Kim Lee", "red"])
def test_a_groups_work_is_everybodys_grade_whoever_handed_it_in(tmp_path: Path, by: str) -> None:
    people = [
        Person(student, name, "", "", "red", {})
        for student, name in (("ada", "Ada Lovelace"), ("kim", "Kim Lee"))
    ]
    roster = Roster(tuple(people))
    names = {101: "Ada Lovelace", 106: "Kim Lee", 55: "red"}
    (ident,) = (ident for ident, name in names.items() if name == by)
    folder = f"{by}_{ident}_assignsubmission_file_"
    found = collect(put(tmp_path / "in", under(folder)), session(), LIMITS).submissions
    reports = [
        replace(report("", 40, student=s.student), slug=s.slug, identity=s.identity)
        for s in enrol(found, roster).submissions
    ]
    rows = [(101, "Ada Lovelace", "a@x"), (106, "Kim Lee", "k@x")]
    filled = moodle.fill(sheet(tmp_path, worksheet(rows)), reports, roster, S1)
    taken = MoodleAssignment(names).import_worksheet(filled.sheet.to_bytes())
    assert {ident: grade for ident, (grade, _) in taken.items()} == {101: "20", 106: "20"}


def test_moodle_takes_extra_credit_up_to_its_maximum(tmp_path: Path) -> None:
    reports = [
        report(NAMES[ident], points, layout="moodle", platform_id=str(ident))
        for ident, points in ((101, 104.5), (102, 100.0), (103, 99.5))
    ]
    filled = moodle.fill(sheet(tmp_path, worksheet(moodle_rows())), reports, None, S1)
    taken = MoodleAssignment(NAMES).import_worksheet(filled.sheet.to_bytes())
    assert [taken[ident][0] for ident in (101, 102, 103)] == ["50", "50", "49.75"]
    assert "Moodle takes no more than the maximum: 'Ada Lovelace'" in filled.lines


def test_a_comment_of_ours_follows_the_grade(tmp_path: Path) -> None:
    made = sheet(tmp_path, worksheet(moodle_rows()))
    for points in (40.25, 80.0):
        made = moodle.fill(
            made, [report("Ada Lovelace", points, layout="moodle", platform_id="101")], None, S1
        ).sheet
    taken = MoodleAssignment(NAMES).import_worksheet(made.to_bytes())
    assert taken[101] == ("40", "80 of 100 points; see feedback.html")


def test_what_moodle_locks_and_people_wrote_stays(tmp_path: Path) -> None:
    data = (
        worksheet(moodle_rows())
        .replace(b"u101@x.org,Submitted,,50.00,Yes,-,", b"u101@x.org,Submitted,33,50.00,No,-,")
        .replace(
            b"u103@x.org,Submitted,,50.00,Yes,-,", b"u103@x.org,Submitted,,50.00,Yes,-,Well done"
        )
    )
    reports = [report(NAMES[i], 80, layout="moodle", platform_id=str(i)) for i in (101, 103)]
    filled = moodle.fill(sheet(tmp_path, data), reports, None, S1)
    taken = MoodleAssignment(NAMES).import_worksheet(filled.sheet.to_bytes())
    assert taken[101] == ("33", "")
    assert taken[103] == ("40", "Well done")
    assert any("does not let change" in line for line in filled.lines)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"Name,Grade\nAda,1\n", "no grading worksheet"),
        (b"Identifier,Grade,Last modified (grade)\nAda,,-\n", "such as 'Participant 101'"),
        (b"Identifier,Grade,Last modified (grade)\nParticipant 9,,-\n", "of another course"),
    ],
)
def test_what_is_no_worksheet_is_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(AutograderError, match=message):
        moodle.fill(sheet(tmp_path, data), [report("Ada", 1)], None, S1)


# ---- any names -----------------------------------------------------------------------------------

odd = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), max_size=12).map(
    lambda text: f"{text}x"
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(["0_x", "a_!1!_x", "_7_8_x"])  # Canvas takes numbers in a file's name for ids
@given(st.lists(odd, min_size=1, max_size=5))
def test_odd_names_survive_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    """By ids, whatever the names are: accents, scripts, commas, quotes, formulas."""
    root = tmp_path_factory.mktemp("odd")
    people = {100 + i: name for i, name in enumerate(names)}
    assignment = MoodleAssignment(people)
    for_moodle: dict[str, bytes] = {}
    for ident in people:
        for_moodle |= under(assignment.download_name(ident))
    (root / "moodle.zip").write_bytes(zipped(for_moodle))
    reports = graded(collect(root / "moodle.zip", session(), LIMITS).submissions)
    rows = [(ident, name, "") for ident, name in people.items()]
    filled = moodle.fill(sheet(root, worksheet(rows)), reports, None, S1)
    taken = assignment.import_worksheet(filled.sheet.to_bytes())
    assert [grade for grade, _ in taken.values()] == [
        f"{(10 + i) / 2:g}" for i in range(len(names))
    ]
    pages = assignment.import_feedback(archive(reports, filled.feedback, RULES, S1))
    assert set(pages) == set(people)

    users = {ident: (name, "", "") for ident, name in people.items()}
    course = CanvasCourse(users, {501: "s1"}, {900 + ident: ident for ident in people})
    for_canvas = {course.download_name(i, 900 + i, "s3.zip"): zipped(BOTH) for i in people}
    (root / "canvas.zip").write_bytes(zipped(for_canvas))
    reports = graded(collect(root / "canvas.zip", session(), LIMITS).submissions)
    export = gradebook(
        [(name, ident, "", "") for ident, name in people.items()], {"s1 (501)": "100"}
    )
    filled = canvas.fill(sheet(root, export), reports, None, S1)
    grades = course.import_gradebook(filled.sheet.to_bytes())
    assert grades == {(ident, 501): str(10 + i) for i, ident in enumerate(people)}
    comments, ignored = course.import_comments(archive(reports, filled.feedback, RULES, S1))
    assert (set(comments), ignored) == (set(people), [])


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_names_are_shared_no_grade_is_anothers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Who is known by an id gets it, in any order of rows; who is not, gets it or nobody does."""
    names = ["Ana Silva", "Silva Ana", "Ana", "Kim Lee", "Bob Hope"]
    people = data.draw(
        st.lists(
            st.tuples(st.sampled_from(names), st.sampled_from(["own", "roster", "name", ""])),
            min_size=1,
            max_size=6,
        )
    )
    reports, enrolled, sure = [], [], {}
    for number, (name, by) in enumerate(people):
        ident, student, points = str(10 + number), f"st{number}", 20.0 + number
        if by == "own":
            reports.append(of_canvas(name, points, ident, student=student))
        elif by:
            reports.append(report(name, points, student=student, layout="plain"))
        if by == "roster":
            enrolled.append(Person(student, name, "", "", "", {"canvas": ident}))
        sure |= {ident: points} if by in ("own", "roster") else {}
    rows = data.draw(st.permutations([(p[0], 10 + i, "", "") for i, p in enumerate(people)]))
    made = sheet(tmp_path_factory.mktemp("any"), gradebook(rows, COLUMNS))
    try:
        filled = canvas.fill(made, reports, Roster(tuple(enrolled)), S1)
    except AutograderError:
        assert not sure
        return
    cells = {row[1]: row[-1] for row in filled.sheet.rows[2:]}
    for number, (name, by) in enumerate(people):
        ident = str(10 + number)
        rivals = [other for other, how in people if other == name and how not in ("own", "roster")]
        if ident in sure:
            assert cells[ident] == f"{sure[ident]:g}"
        elif by == "name" and len(rivals) == 1 and name in ("Kim Lee", "Bob Hope", "Ana"):
            assert cells[ident] == f"{20 + number}"
        else:
            own = f"{20 + number}" if by and "Silva" in name else "7"
            assert cells[ident] in (own, "7")


# ---- the commands --------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder of two students of Moodle, with a course."""
    (tmp_path / "course.yaml").write_text(COURSE)
    folder = ResultsFolder(tmp_path / "results")
    reports = [
        report("Ada Lovelace", 30, layout="moodle", platform_id="101", download="Ada_101_x/"),
        report("Kim Lee", 40, student="kim"),
    ]
    with folder.locked():
        folder.start(present_run(RULES, S1, {}))
        for each in reports:
            folder.keep(
                replace(each, lateness=Lateness(due="2027-01-25T23:59:00+01:00")), RULES, S1
            )
    return folder.path


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["export", *map(str, arguments)])
        text = done.output if done.exception is None else f"{done.output}{done.exception}"
        return done.exit_code, " ".join(text.split())

    return invoke


def test_export_moodle(results: Path, run: Run, tmp_path: Path) -> None:
    rows = [(101, "Ada Lovelace", "a@x"), (106, "Kim Lee", "k@x"), (109, "Zed", "z@x")]
    (tmp_path / "worksheet.csv").write_bytes(worksheet(rows))
    code, text = run("moodle", results, "--gradebook", "worksheet.csv")
    assert (code, "2 of 2 grades" in text, "2 pages" in text) == (0, True, True), text
    taken = MoodleAssignment({101: "", 106: "", 109: ""}).import_worksheet(
        (results / "export" / "moodle-s1.csv").read_bytes()
    )
    assert {ident: grade for ident, (grade, _) in taken.items()} == {101: "15", 106: "20", 109: ""}
    with zipfile.ZipFile(results / "export" / "moodle-s1-feedback.zip") as packed:
        assert len(packed.namelist()) == 2


def test_export_says_that_penalties_have_changed(results: Path, run: Run, tmp_path: Path) -> None:
    rows = [(101, "Ada Lovelace", "a@x"), (106, "Kim Lee", "k@x")]
    (tmp_path / "worksheet.csv").write_bytes(worksheet(rows))
    folder = ResultsFolder(results)
    late = Lateness("2027-01-26T12:00:00+01:00", "2027-01-25T23:59:00+01:00", 0.5, 0.1)
    with folder.locked():
        folder.keep(replace(folder.load().reports[0], lateness=late), RULES, S1)
    line = "late policy or extensions have changed since"
    export = ("moodle", results, "--gradebook", "worksheet.csv")
    assert line not in run(*export)[1]
    folder.roster.write_text("student,s1 due\nAda Lovelace,2027-01-28T00:00:00+01:00\n")
    text = run(*export)[1]
    assert f"{line}, for 'Ada Lovelace': `autograder report {results}` applies them" in text
    folder.roster.unlink()
    (tmp_path / "course.yaml").write_text(COURSE.replace("percent: 10", "percent: 20"))
    assert f"{line}, for 'Ada Lovelace'" in run(*export)[1]


def test_export_canvas_and_feedback(results: Path, run: Run, tmp_path: Path) -> None:
    export = gradebook([("Lovelace, Ada", 11, "", "")], COLUMNS)
    (tmp_path / "gradebook.csv").write_bytes(export)
    code, text = run("canvas", results, "--gradebook", "gradebook.csv", "-o", "back")
    assert (code, "1 of 2 grades" in text) == (0, True), text
    assert (tmp_path / "back" / "canvas-s1.csv").is_file()
    assert (tmp_path / "gradebook.csv").read_bytes() == export
    code, _ = run("feedback", results)
    with zipfile.ZipFile(results / "export" / "feedback.zip") as packed:
        kim = f"{slug('kim')}/feedback.html"
        assert (code, sorted(packed.namelist())) == (0, sorted(["Ada_101_x/feedback.html", kim]))


def test_export_never_writes_over_what_it_was_given(
    results: Path, run: Run, tmp_path: Path
) -> None:
    data = worksheet([(101, "Ada Lovelace", "a@x")])
    (tmp_path / "moodle-s1.csv").write_bytes(data)
    code, text = run("moodle", results, "--gradebook", "moodle-s1.csv", "-o", ".")
    assert (code != 0, "would be overwritten" in text) == (True, True)
    assert (tmp_path / "moodle-s1.csv").read_bytes() == data


def test_export_of_no_results_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "course.yaml").write_text(COURSE)
    code, text = run("feedback", tmp_path)
    assert (code != 0, "is not a results folder" in text) == (True, True)


def test_pages_that_would_share_a_name_do_not() -> None:
    one = report("Ada", 1, download="t/", platform_id="1")
    two = report("Bob", 1, download="t/", platform_id="2")
    names = names_of_download([one, two])
    assert len(set(names.values())) == 2
