"""The roster ties downloads to students: groups, extensions, who is missing and who is unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import parse_course
from autograder.errors import InputErrors
from autograder.grading.enrolment import enrol, renamed
from autograder.grading.roster import PLATFORMS, People, Roster, name_keys, read_roster
from autograder.records import Identity, Report
from autograder.submissions import Submission, collect
from autograder.submissions.identity import slug
from tests.grading.support import COURSE, Class, klass, points
from tests.support import submission

__all__ = ["klass"]

CLASS = """student,name,email,section,group,moodle,canvas,s1 due
ada,Ada Lovelace,ada@x.org,A,,101,11,
bob,Bob O'Hara,bob@x.org,A,,102,12,2027-02-01T12:00:00+01:00
sofia,Софья Ковалевская,sofia@x.org,B,,103,13,
"=1+1","Smith, =Jane",,B,,104,14,
"""


def roster(tmp_path: Path, text: str = CLASS) -> Roster:
    path = tmp_path / "roster.csv"
    path.write_text(text, encoding="utf-8")
    return read_roster(path, parse_course(COURSE))


def sent(name: str, text: str = "add", time: str | None = None, **identity: object) -> Submission:
    made = submission(name, {"work.py": text})
    return replace(
        made,
        submitted_at=time,
        identity=Identity(name=name, **identity),  # type: ignore[arg-type]
    )


def students(submissions: tuple[Submission, ...]) -> dict[str, str]:
    return {s.student: dict(s.files).get("work.py", b"").decode() for s in submissions}


# ---- reading -------------------------------------------------------------------------------------


def test_a_roster_is_read(tmp_path: Path) -> None:
    read = roster(tmp_path)
    ada, _, sofia, jane = read.people
    assert (ada.student, ada.name, ada.email, ada.section) == (
        *("ada", "Ada Lovelace", "ada@x.org", "A"),
    )
    assert ada.ids == {"moodle": "101", "canvas": "11"}
    assert (sofia.name, jane.student, jane.name) == ("Софья Ковалевская", "=1+1", "Smith, =Jane")
    (extension,) = read.extensions
    assert (extension.student, extension.session) == ("bob", "s1")
    assert read.notes == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name\nada\n", "expected the columns student"),
        ("student,name\n,Ada\n", "2: student: expected an id"),
        ("student\nada\nAda\n", "3: student: 'Ada' is also that of line 2"),
        ("student,moodle\nada,1\nbob,1\n", "3: moodle: '1' is also that of line 2"),
        ("student,email\nada,a@x\nbob,A@x\n", "3: email: 'A@x' is also that of line 2"),
        ("student,s1 due\nada,tomorrow\n", "2: s1 due: expected ISO 8601"),
        ("student,s1 due\nada,2027-02-01T12:00\n", "2: s1 due: expected ISO 8601"),
        ("student,s1 due\nada,2026-02-01T12:00:00Z\n", "2: s1 due: expected a date after"),
        ("student,s2 due\nada,2027-02-01T12:00:00Z\n", "2: s2 due: s2 has no due date"),
        ("student,name\nada,Ada,Lovelace\n", "2: expected 2 cells, got 3"),
    ],
)
def test_mistakes_are_lines(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(InputErrors) as caught:
        roster(tmp_path, text)
    assert any(line in each for each in (str(caught.value), *caught.value.lines))


def test_numbers_that_a_tool_made_fractions_of_are_ids_as_before(tmp_path: Path) -> None:
    """As pandas writes a column of numbers in which one is missing."""
    text = "student,moodle,canvas,github,s1 due\n{}"
    rows = "1815.0,101.0,,ada.0,2027-02-01T12:00:00+01:00\nbob,,007.0,v1.0,\n"
    ada, bob = roster(tmp_path, text.format(rows)).people
    assert (ada.student, ada.ids) == ("1815", {"moodle": "101", "github": "ada.0"})
    assert (bob.student, bob.ids) == ("bob", {"canvas": "007", "github": "v1.0"})
    assert roster(tmp_path, text.format(rows)).extensions[0].student == "1815"


def test_cells_that_a_spreadsheet_left_out_at_the_end_of_a_row_are_empty(tmp_path: Path) -> None:
    text = "student,name,email,s1 due\nada,Ada\nbob\ncleo,,c@x.org\n"
    assert [(p.student, p.name, p.email) for p in roster(tmp_path, text).people] == [
        *(("ada", "Ada", ""), ("bob", "", ""), ("cleo", "", "c@x.org")),
    ]


def test_columns_that_nothing_reads_are_named(tmp_path: Path) -> None:
    read = roster(tmp_path, "student,moodel,s1 due,tutor\nada,1,,x\n")
    assert read.notes == ("roster.csv: nothing reads the columns 'moodel', 'tutor'",)


# ---- who is who ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "platform_id", "email", "name", "student"),
    [
        ("moodle", "101", "", "Ada King", "ada"),
        ("moodle", "101", "", "Somebody", None),
        ("moodle", "101", "", "", "ada"),
        ("moodle", "101", "", "Bob O'Hara", ["bob", "ada"]),
        ("moodle", "101", "bob@x.org", "Ada Lovelace", ["bob", "ada"]),
        ("canvas", "13", "", "x", "sofia"),
        ("canvas", "11", "", "oharabob", "ada"),
        ("canvas", "", "", "lovelaceada", "ada"),
        ("canvas", "", "", "oharabob", "bob"),
        ("canvas", "", "", "ковалевскаясофья", "sofia"),
        ("canvas", "99", "", "lovelaceada", None),
        ("canvas", "99", "ada@x.org", "lovelaceada", None),
        ("gradescope", "", "another@x.org", "Ada Lovelace", None),
        ("gradescope", "77", "ada@x.org", "Ada Lovelace", "ada"),
        ("moodle", "999", "", "ADA  Lovelace", "ada"),
        ("gradescope", "bob", "", "x", "bob"),
        ("gradescope", "", "SOFIA@x.org", "x", "sofia"),
        ("plain", "", "", "Lovelace, Ada", "ada"),
        ("plain", "", "", "ada", "ada"),
        ("plain", "", "", "=1+1", "=1+1"),
        ("plain", "", "", "ada@x.org", "ada"),
        ("plain", "", "", "11", None),
        ("plain", "", "", "Ada", "ada"),
        ("moodle", "", "", "", None),
    ],
)
def test_what_a_download_calls_a_student(
    tmp_path: Path, layout: str, platform_id: str, email: str, name: str, student: object
) -> None:
    found = People(roster(tmp_path)).find(layout, platform_id, email, name)
    expected = student if isinstance(student, list) else [student] if student else []
    assert [person.student for person in found] == expected


@given(st.lists(st.text("abcдé'-", min_size=1, max_size=6), min_size=1, max_size=4))
def test_a_name_is_found_from_each_of_its_words_on(words: list[str]) -> None:
    name = " ".join(words)
    for i in range(len(words)):
        turned = " ".join(words[i:] + words[:i])
        joined = "".join(c for c in "".join(words[i:] + words[:i]) if c.isalnum())
        assert len(joined) < 3 or joined in name_keys(name) & name_keys(turned)


def test_unknown_and_ambiguous_students_are_named_and_kept(tmp_path: Path) -> None:
    two = "student,name\nkim1,Kim Lee\nkim2,Kim Lee\nada,Ada\n"
    made = enrol([sent("Kim Lee"), sent("Eve"), sent("Ada")], roster(tmp_path, two))
    assert set(students(made.submissions)) == {"Kim Lee", "Eve", "ada"}
    assert made.lines == (
        "'Kim Lee' may be 'kim1' or 'kim2'; graded under this name, so give platform ids in the "
        "roster",
        "'Eve' is not in the roster; graded under this name",
    )


def test_what_the_roster_knows_is_on_the_record(tmp_path: Path) -> None:
    made = enrol(
        [sent("lovelaceada", layout="canvas", platform_id="11", download="x_")], roster(tmp_path)
    )
    (ada,) = made.submissions
    assert (ada.student, ada.slug) == ("ada", slug("ada"))
    assert ada.identity == Identity(
        *("Ada Lovelace", "ada@x.org", "A", "", "canvas", "11", None, "x_")
    )


NAMESAKES = {
    "canvas": ("silvaana", "11", "12"),
    "gradescope": ("Ana Silva", "S11", "S12"),
    "nbgrader": ("asilva", "asilva1", "asilva"),
    "clones": ("asilva", "ana-11", "asilva"),
}


@pytest.mark.parametrize("layout", NAMESAKES)
@pytest.mark.parametrize("both", [False, True])
def test_who_has_another_id_is_a_namesake(tmp_path: Path, layout: str, both: bool) -> None:
    name, own, other = NAMESAKES[layout]
    column = PLATFORMS[layout]
    table = roster(tmp_path, f"student,name,email,{column}\nasilva,Ana Silva,a1@x.org,{own}\n")
    theirs = sent(name, "2", layout=layout, platform_id=other, download=f"{other}/")
    theirs = replace(theirs, student=f"{name} 2", slug=slug(f"{name} 2"))
    mine = sent(name, "1", layout=layout, platform_id=own, download=f"{own}/")
    made = enrol([mine, theirs] if both else [theirs], table)
    expected = {f"{name} 2": "2"} | ({"asilva": "1"} if both else {})
    assert students(made.submissions) == expected
    ids = {s.student: s.identity.platform_id for s in made.submissions}
    assert ids == {f"{name} 2": other} | ({"asilva": own} if both else {})
    (line,) = made.lines
    because = f": 'asilva' has the {column} id '{own}', not '{other}'"
    assert line == f"'{name} 2' is not in the roster{because}; graded under this name"


@pytest.mark.parametrize("both", [False, True])
def test_a_namesake_does_not_get_a_students_name_either(tmp_path: Path, both: bool) -> None:
    """nbgrader's folder has the id that the course gave somebody else."""
    table = roster(tmp_path, "student,nbgrader\nasilva,asilva1\n")
    theirs = sent("Asilva", "2", layout="nbgrader", platform_id="Asilva")
    mine = sent("asilva1", "1", layout="nbgrader", platform_id="asilva1")
    made = enrol([mine, theirs] if both else [theirs], table)
    name = "Asilva (not in the roster)"
    assert students(made.submissions) == {name: "2"} | ({"asilva": "1"} if both else {})
    assert len({s.slug for s in made.submissions}) == 1 + both
    assert slug("asilva") not in {s.slug for s in made.submissions if s.student == name}
    assert made.lines == (
        "'Asilva' is not in the roster: 'asilva' has the nbgrader id 'asilva1', not 'Asilva'; "
        f"graded as '{name}'",
    )


def test_another_e_mail_tells_namesakes_apart(tmp_path: Path) -> None:
    table = roster(tmp_path, "student,name,email\nasilva,Ana Silva,a1@x.org\n")
    found = [
        sent("Ana Silva", layout="gradescope", platform_id=mail, email=mail)
        for mail in ("a2@x.org", "a1@x.org")
    ]
    found[0] = replace(found[0], student="Ana Silva 2", slug=slug("Ana Silva 2"))
    made = enrol(found, table)
    assert set(students(made.submissions)) == {"asilva", "Ana Silva 2"}
    assert "'asilva' has the e-mail 'a1@x.org', not 'a2@x.org'" in made.lines[0]


@pytest.mark.parametrize("layout", ["canvas", "moodle", "gradescope"])
def test_two_accounts_of_one_name_are_not_one_student(tmp_path: Path, layout: str) -> None:
    """The roster has no ids, and one of two namesakes."""
    table = roster(tmp_path, "student,name\nkim,Kim Lee\nada,Ada Lovelace\n")
    found = [
        replace(
            sent("Kim Lee", ident, layout=layout, platform_id=ident),
            student=f"Kim Lee {ident}",
            slug=slug(f"Kim Lee {ident}"),
        )
        for ident in ("31", "32")
    ]
    made = enrol([*found, sent("Ada Lovelace", layout=layout, platform_id="7")], table)
    assert students(made.submissions) == {"Kim Lee 31": "31", "Kim Lee 32": "32", "ada": "add"}
    assert made.lines == tuple(
        f"'Kim Lee {ident}' may be 'kim', and so may others of this name; graded under this name, "
        "so give platform ids in the roster"
        for ident in ("31", "32")
    )


# ---- Moodle, whose ids are another assignment's --------------------------------------------------


def test_moodles_ids_of_another_assignment_change_nothing(tmp_path: Path) -> None:
    found = [
        sent("Ada Lovelace", "1", layout="moodle", platform_id="201", download="a/"),
        sent("Bob O'Hara", "2", layout="moodle", platform_id="202", download="b/"),
    ]
    made = enrol(found, roster(tmp_path))
    assert students(made.submissions) == {"ada": "1", "bob": "2"}
    assert [s.identity.platform_id for s in made.submissions] == ["201", "202"]
    assert made.lines == ()


def test_moodles_ids_of_this_assignment_tell_namesakes_apart(tmp_path: Path) -> None:
    table = roster(tmp_path, "student,name,moodle\nkim1,Kim Lee,31\nkim2,Kim Lee,\n")
    found = [sent(f"Kim Lee {i}", i, layout="moodle", platform_id=i) for i in ("31", "32")]
    found = [replace(s, identity=replace(s.identity, name="Kim Lee")) for s in found]
    made = enrol(found, table)
    assert students(made.submissions) == {"kim1": "31", "Kim Lee 32": "32"}
    one = roster(tmp_path, "student,name,moodle\nkim1,Kim Lee,31\n")
    made = enrol(found, one)
    assert students(made.submissions) == {"kim1": "31", "Kim Lee 32": "32"}
    assert "'kim1' has the moodle id '31', not '32'" in made.lines[0]


TEAMS = "student,name,group,moodle\nada,Ada Lovelace,{},11\nbob,Bob Hope,,12\n"


def test_a_teams_number_in_moodle_is_no_students(tmp_path: Path) -> None:
    team = sent("Team Red", "1", layout="moodle", platform_id="12")
    bob = sent("Bob Hope", "2", layout="moodle", platform_id="22")
    made = enrol([team, bob], roster(tmp_path, TEAMS.format("team red")))
    assert (students(made.submissions), made.lines) == ({"ada": "1", "bob": "2"}, ())
    made = enrol([team, bob], roster(tmp_path, TEAMS.format("")))
    assert students(made.submissions) == {"Team Red": "1", "bob": "2"}
    assert made.lines == (
        "'Team Red' is not in the roster: 'bob' has this moodle id, but the name 'Bob Hope'; "
        "graded under this name",
    )


def test_a_member_who_submitted_nothing_has_no_number_of_another_assignment(tmp_path: Path) -> None:
    sent_by_team = sent("Team Red", layout="moodle", platform_id="99")
    made = enrol([sent_by_team], roster(tmp_path, TEAMS.format("team red")))
    assert [(s.student, s.identity.platform_id) for s in made.submissions] == [("ada", "")]


# ---- groups and attempts -------------------------------------------------------------------------

GROUPS = """student,name,group,moodle
ada,Ada Lovelace,red,1
bob,Bob O'Hara,red,2
cleo,Cleo,,3
"""


@pytest.mark.parametrize("by", ["member", "group", "both"])
def test_a_group_has_one_submission_per_member(tmp_path: Path, by: str) -> None:
    found = {
        "member": [sent("Bob O'Hara", "add", layout="moodle", platform_id="2")],
        "group": [sent("Red", "add", layout="moodle", platform_id="77")],
        "both": [sent("Bob O'Hara", "add"), sent("Ada Lovelace", "add")],
    }[by]
    made = enrol([*found, sent("Cleo", "sub")], roster(tmp_path, GROUPS))
    assert made.lines == ()
    assert students(made.submissions) == {"ada": "add", "bob": "add", "cleo": "sub"}
    ada, bob, cleo = made.submissions
    assert ada.group == bob.group != ""
    assert cleo.group == ""
    assert {s.identity.name for s in made.submissions} == {"Ada Lovelace", "Bob O'Hara", "Cleo"}
    assert ada.slug != bob.slug


def test_the_last_of_a_groups_attempts_counts(tmp_path: Path) -> None:
    one = sent("Ada Lovelace", "add", "2027-01-20T10:00:00+00:00")
    two = sent("Bob O'Hara", "add sub", "2027-01-20T09:30:00-02:00")
    made = enrol([two, one], roster(tmp_path, GROUPS))
    assert students(made.submissions) == {"ada": "add sub", "bob": "add sub"}
    assert all("'Ada Lovelace' is earlier" in s.notes[0] for s in made.submissions)
    empty = replace(one, files=(), sha256="0", submitted_at="2027-02-20T10:00:00+00:00")
    made = enrol([two, empty], roster(tmp_path, GROUPS))
    assert students(made.submissions) == {"ada": "add sub", "bob": "add sub"}


def test_attempts_without_times_are_not_guessed_at(tmp_path: Path) -> None:
    made = enrol([sent("Ada Lovelace", "1"), sent("Bob O'Hara", "2")], roster(tmp_path, GROUPS))
    line = "'Ada Lovelace' and 'Bob O'Hara' are both of 'red'; none was graded, keep one"
    assert made.lines == (line,)
    assert [(s.student, s.problems, s.files) for s in made.submissions] == [
        ("ada", (line,), ()),
        ("bob", (line,), ()),
    ]


def test_two_layouts_of_one_student(tmp_path: Path) -> None:
    found = [sent("lovelaceada", "1", layout="canvas", platform_id="11"), sent("ada", "2")]
    made = enrol(found, roster(tmp_path))
    assert [(s.student, s.files) for s in made.submissions] == [("ada", ())]
    assert "none was graded" in made.lines[0]


# ---- in a run ------------------------------------------------------------------------------------


def test_a_group_is_graded_once_and_reported_to_each(klass: Class) -> None:
    table = klass.root / "roster.csv"
    table.write_text("student,group,s1 due\nada,red,\nbob,red,2027-02-20T12:00:00+01:00\nzoe,,\n")
    klass.modules = {"red": "add sub", "cleo": "add"}
    klass.times = {"red": "2027-01-27T12:00:00+01:00"}
    made = klass.grade(roster=table)
    assert sorted(klass.asked) == [
        *(("ada", "add"), ("ada", "sub"), ("cleo", "add"), ("cleo", "sub")),
    ]
    assert points(made)["ada"] == points(made)["bob"]
    assert set(points(made)) == {"ada", "bob", "cleo"}
    late = {report.student: report.lateness.penalty for report in made.reports}
    assert late["ada"] > 0
    assert late["bob"] == 0
    assert any("'cleo' is not in the roster" in line for line in klass.notes)
    assert "1 of 3 have not submitted: 'zoe'" in klass.notes
    for name in ("ada", "bob"):
        assert (klass.results.path / "feedback" / f"{slug(name)}.html").is_file()
    again = klass.grade(resume=True)  # with the roster that the folder keeps
    assert (klass.asked, again.kept, again.changes) == ([], 3, ())
    assert any("'zoe'" in line for line in klass.notes)
    klass.report()
    assert any("'zoe'" in line for line in klass.notes)
    table.write_text("student,group,s1 due\nada,red,2027-02-20T12:00:00+01:00\nbob,red,\n")
    late = {
        report.student: report.lateness.penalty for report in klass.report(roster=table).reports
    }
    assert (late["ada"], late["bob"] > 0) == (0, True)
    late = {report.student: report.lateness.penalty for report in klass.report().reports}
    assert (late["ada"], late["bob"] > 0) == (0, True)


def test_a_bad_roster_stops_before_anything_is_written(klass: Class) -> None:
    table = klass.root / "roster.csv"
    table.write_text("student\nada\nada\n")
    with pytest.raises(InputErrors):
        klass.grade(roster=table)
    assert not klass.results.path.exists()


@pytest.mark.parametrize(
    "identity",
    [
        Identity(name="Ada Lovelace", layout="moodle", platform_id="101"),
        Identity(name="Ada Lovelace", layout="plain", download="Ada Lovelace/"),
        Identity(name="Ada Lovelace", layout="moodle", platform_id="21", download="Ada_21_a_/"),
    ],
)
def test_a_roster_that_comes_later_doubles_nobody_without_a_word(
    klass: Class, identity: Identity
) -> None:
    klass.modules = {"Ada Lovelace": "add", "cleo": "sub"}
    ada, cleo = klass.submissions()
    made = [replace(ada, identity=identity), cleo]
    klass.submissions = lambda: made  # type: ignore[method-assign]
    klass.grade()
    assert klass.notes == []
    table = klass.root / "roster.csv"
    table.write_text("student,name,moodle\nada,Ada Lovelace,11\ncleo,,\n")
    klass.grade(roster=table, resume=True)
    line = (
        "the download of 'Ada Lovelace' is now that of 'ada': "
        f"if they are one student, remove reports/{ada.slug}.json, or both count"
    )
    assert klass.notes == [line]
    (klass.results.reports / f"{ada.slug}.json").unlink()
    assert {r.student for r in klass.grade(resume=True).reports} == {"ada", "cleo"}
    assert klass.notes == []


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (  # another clone came, and all names have less in common
            Identity(layout="clones", platform_id="a", download="s1-team-a/"),
            Identity(layout="clones", platform_id="team-a", download="s1-team-a/"),
        ),
        (  # the name that Moodle shows was changed
            Identity(layout="moodle", platform_id="21", download="Ada_21_assignsubmission_file_/"),
            Identity(layout="moodle", platform_id="21", download="Lia_21_assignsubmission_file_/"),
        ),
        (  # an attachment was replaced
            Identity(layout="canvas", platform_id="11", download="ada_11_901_"),
            Identity(layout="canvas", platform_id="11", download="lia_11_977_"),
        ),
        (  # a roster of another assignment had put its id into the record
            Identity(layout="moodle", platform_id="11", download="Ada_21_assignsubmission_file_/"),
            Identity(layout="moodle", platform_id="21", download="Ada_21_assignsubmission_file_/"),
        ),
    ],
)
def test_who_is_called_otherwise_now_is_named(before: Identity, now: Identity) -> None:
    former = Report("test", "s1", "ada", slug("ada"), "", identity=before)
    (line,) = renamed([former], [replace(sent("lia"), identity=now)])
    assert "the download of 'ada' is now that of 'lia': " in line
    assert f"remove reports/{slug('ada')}.json" in line


@pytest.mark.parametrize("layout", ["clones", "moodle", ""])
def test_who_shares_no_download_is_somebody_else(layout: str) -> None:
    before = Identity(layout=layout, platform_id="a", download="s1-team-a/")
    now = Identity(layout=layout, platform_id="a" * (layout != "moodle"), download="s1-a/")
    former = Report("test", "s1", "ada", slug("ada"), "", identity=before)
    assert list(renamed([former], [replace(sent("lia"), identity=now)])) == []


def test_who_leaves_a_group_is_not_taken_for_another_member(klass: Class) -> None:
    klass.modules = {"ada": "add", "bob": "add"}
    team = Identity(group="red", layout="plain", download="red/")
    made = [replace(submission, identity=team) for submission in klass.submissions()]
    klass.submissions = lambda: made  # type: ignore[method-assign]
    klass.grade()
    assert klass.notes == []
    gone = made.pop()
    klass.grade(resume=True)
    assert klass.notes == [
        f"the download of 'bob' is now that of 'ada': if they are one student, remove "
        f"reports/{gone.slug}.json, or both count"
    ]


def test_marks_and_times_go_by_any_name_that_is_one_students(klass: Class) -> None:
    table = klass.root / "roster.csv"
    table.write_text("student,name,email\nada,Ada L,ada@x.org\nbob,Bob B,\ncleo,Cleo,\n")
    marks = klass.root / "marks.csv"
    marks.write_text("student,exercise,points\nada@x.org,essay,7\nBob B,essay,5\ncleo,essay,3\n")
    made = klass.grade(roster=table, marks=marks)
    assert {s: p["essay"] for s, p in points(made).items()} == {"ada": 7, "bob": 5, "cleo": 3}
    table.write_text("student,name,email\nada,,\nbob,,bob@x.org\ncleo,,\n")
    marks.write_text("student,exercise,points\nbob@x.org,essay,6\n")
    made = klass.grade(roster=table, marks=marks, resume=True)
    assert points(made)["bob"]["essay"] == 6, "the roster of this run counts, not the former one"


# ---- rosters of other tools ----------------------------------------------------------------------

GITHUB_CLASSROOM = """"identifier","github_username","github_id","name"
"ada@x.org","ada-l","12","Ada Lovelace"
"77","","",""
"=1+1","jane","13","Smith, =Jane"
"""
GRADES = """"assignment_name","assignment_url","starter_code_url","github_username",\
"roster_identifier","student_repository_name","student_repository_url","submission_timestamp",\
"points_awarded","points_available"
"s1","https://x","","ada-l","ada@x.org","s1-ada-l","https://x","2026-05-01 10:00:00 UTC","3","5"
"s1","https://x","","bob","","s1-bob","https://x","","",""
""".replace("\\\n", "")
CLASSROOM50 = """\
username,first_name,last_name,email,section,github_id,role,enrolled_at,moodle,s1 due
ada-l,Ada,Lovelace,ada@x.org,A,12,student,2026-09-01,101,2027-02-01T12:00:00+01:00
,Bob,O'Hara,bob@x.org,B,,,,,
prof,P,Rof,p@x.org,,14,teacher,,,
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            GITHUB_CLASSROOM,
            [
                ("ada@x.org", "Ada Lovelace", {"github": "ada-l"}),
                ("77", "", {}),
                ("=1+1", "Smith, =Jane", {"github": "jane"}),
            ],
        ),
        (GRADES, [("ada@x.org", "", {"github": "ada-l"}), ("bob", "", {"github": "bob"})]),
        (
            CLASSROOM50,
            [
                ("ada-l", "Ada Lovelace", {"github": "ada-l", "moodle": "101"}),
                ("bob@x.org", "Bob O'Hara", {}),
            ],
        ),
    ],
)
def test_rosters_of_other_tools_are_read_as_they_are(
    tmp_path: Path, text: str, expected: list[object]
) -> None:
    read = roster(tmp_path, text)
    assert [(p.student, p.name, p.ids) for p in read.people] == expected
    assert read.notes == ()


def test_columns_of_ours_count_beside_theirs(tmp_path: Path) -> None:
    read = roster(tmp_path, CLASSROOM50)
    assert (read.people[0].email, read.people[1].section) == ("ada@x.org", "B")
    (extension,) = read.extensions
    assert extension.student == "ada-l"
    own = "student,username,first_name,last_name,hat\n77,ada-l,Ada,Lovelace,red\n"
    read = roster(tmp_path, own)
    assert (read.people[0].student, read.people[0].ids) == ("77", {"github": "ada-l"})
    assert "'hat'" in read.notes[0]


def test_mistakes_in_another_tools_roster_have_their_lines(tmp_path: Path) -> None:
    twice = GITHUB_CLASSROOM + '"78","ada-l","12","Ada"\n'
    with pytest.raises(InputErrors) as caught:
        roster(tmp_path, twice)
    assert "5: github: 'ada-l' is also that of line 2" in caught.value.lines[0]


@pytest.mark.parametrize("users", [["ada-l", "bob"], ["uni-ada", "uni-bob"], ["bob"]])
def test_clones_of_classroom_50_find_their_students(tmp_path: Path, users: list[str]) -> None:
    """CLASSROOM-ASSIGNMENT-USER, in lower case, beside what its download command writes."""
    rules = parse_course(COURSE)
    for user in users:
        folder = tmp_path / "in" / f"nn-s1-{user}"
        (folder / ".git").mkdir(parents=True)
        (folder / "work.py").write_text(user)
        (folder / "result.json").write_text("{}")
    (tmp_path / "in" / "scores.csv").write_text("username\n")
    rows = "".join(f"{user.upper()},F,L,{user}@x.org,A,1\n" for user in [*users, "l", "x-bob"])
    text = f"username,first_name,last_name,email,section,github_id\n{rows}"
    limits = rules.limits.archive
    found = collect(tmp_path / "in", rules.session("s1"), limits)
    assert found.layout == "clones"
    enrolled = enrol(found.submissions, roster(tmp_path, text))
    assert students(enrolled.submissions) == {user.upper(): user for user in users}
    assert enrolled.lines == ()
