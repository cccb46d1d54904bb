"""Every platform's download, as a folder and as the zip itself, gives the same submissions."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from autograder.errors import SubmissionError
from autograder.submissions import LAYOUTS, Collected, Submission, collect, folder
from autograder.submissions.files import Folder
from tests.collect import downloads
from tests.collect.downloads import (
    BOTH,
    CODING,
    LIMITS,
    METRICS,
    marked,
    put,
    session,
    under,
    unflagged,
    zipped,
)

Files = dict[str, bytes]
SESSION = session()


def read(path: Path, layout: str | None = None, **options: bool) -> Collected:
    return collect(path, SESSION, LIMITS, layout=layout, **options)


def by_name(collected: Collected) -> dict[str, Submission]:
    named = {submission.student: submission for submission in collected.submissions}
    assert len(named) == len(collected.submissions)
    assert len({submission.slug for submission in named.values()}) == len(named)
    return named


@pytest.fixture(params=["folder", "folder in a folder", "zip", "zip in a folder", "zip and more"])
def lay_out(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Files], Path]:
    """Write a download in one of the shapes that a person may have it in."""

    def write(files: Files) -> Path:
        if request.param == "folder":
            return put(tmp_path / "download", files)
        if request.param == "folder in a folder":
            put(tmp_path / "download" / "assignment_12_export", files)
            return tmp_path / "download"
        put(tmp_path / "download", {"class.zip": zipped(files), ".DS_Store": b"x"})
        if request.param == "zip and more":
            put(tmp_path / "download", {"roster.csv": b"student\n", "times.csv": b""})
        return tmp_path / "download" / ("class.zip" if request.param == "zip" else "")

    return write


# ---- Moodle --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["_", ""], ids=["until 4.0", "since 4.1"])
def test_moodle(lay_out: Callable[[Files], Path], end: str) -> None:
    collected = read(lay_out(downloads.moodle(end)))
    assert (collected.layout, collected.errors) == ("moodle", ())
    found = by_name(collected)
    assert set(found) == {
        *("Ada Lovelace", "Bob O'Hara", "Софья Ковалевская", "Dan Text"),
        *("Kim Lee 105", "Kim Lee 106"),
    }
    ada, kim = found["Ada Lovelace"], found["Kim Lee 106"]
    assert dict(ada.files) == BOTH
    assert dict(found["Bob O'Hara"].files) == marked("bob")
    assert dict(found["Софья Ковалевская"].files) == marked("sofia")
    assert dict(kim.files) == marked("two")
    assert (ada.identity.name, ada.identity.platform_id) == ("Ada Lovelace", "101")
    assert ada.identity.download == f"Ada Lovelace_101_assignsubmission_file{end}/"
    assert (ada.identity.layout, ada.identity.attempt, ada.submitted_at) == ("moodle", None, None)
    assert (kim.identity.name, kim.identity.platform_id) == ("Kim Lee", "106")
    assert not any(s.problems for s in found.values() if s.files)
    assert any("online text" in note for note in ada.notes)
    dan = found["Dan Text"]
    assert dan.problems == ("deep_compression.py is missing", "coding.py is missing")
    assert any("online text" in note for note in dan.notes)


def test_moodle_without_folders(lay_out: Callable[[Files], Path]) -> None:
    collected = read(lay_out(downloads.moodle_flat()))
    assert (collected.layout, collected.errors) == ("moodle", ())
    found = by_name(collected)
    assert dict(found["Ada Lovelace"].files) == BOTH
    assert dict(found["Bob O'Hara"].files) == marked("bob")
    assert found["Ada Lovelace"].identity.download == "Ada Lovelace_101_assignsubmission_file_"
    assert found["Bob O'Hara"].identity.download == "Bob O'Hara_102_assignsubmission_file_"


def test_a_moodle_team_is_named_by_its_group(tmp_path: Path) -> None:
    files = {**under("Team 7_55_assignsubmission_file_"), **under("Default_assignsubmission_file_")}
    found = by_name(read(put(tmp_path / "in", files)))
    assert found["Team 7"].identity.platform_id == "55"
    assert found["Default"].identity.platform_id == ""


# ---- Canvas --------------------------------------------------------------------------------------


def test_canvas(lay_out: Callable[[Files], Path]) -> None:
    collected = read(lay_out(downloads.canvas()))
    assert (collected.layout, collected.errors) == ("canvas", ())
    found = by_name(collected)
    assert set(found) == {"lovelaceada", "ohara", "ковалевскаясофья", "link", "anonymous"}
    ada, bob = found["lovelaceada"], found["ohara"]
    assert dict(ada.files) == BOTH
    assert (ada.identity.platform_id, ada.identity.attempt) == ("11", 3)
    assert [note for note in ada.notes if "earlier attempt" in note] == [
        "'lovelaceada_11_902_coding.py' is an earlier attempt and was not graded",
        "'lovelaceada_11_903_coding-1.py' is an earlier attempt and was not graded",
    ]
    assert ada.identity.download == "lovelaceada_11_904_"
    assert dict(bob.files) == marked("bob")
    assert (bob.identity.platform_id, bob.identity.attempt) == ("12", None)
    assert bob.identity.download == "ohara_LATE_12_905_"
    assert any("LATE" in note and "--times" in note for note in bob.notes)
    assert bob.submitted_at is None
    assert dict(found["ковалевскаясофья"].files) == BOTH
    anonymous = found["anonymous"]
    assert (anonymous.identity.platform_id, dict(anonymous.files)) == ("x7Gh2", marked("anonymous"))
    assert any("LATE" in note for note in anonymous.notes)
    assert found["link"].files == ()


def test_a_number_that_is_the_students_own_is_no_attempt(tmp_path: Path) -> None:
    files = {f"ada_11_90{i}_{name}": data for i, (name, data) in enumerate(BOTH.items())}
    files["ada_11_909_notes-2.txt"] = b"x"
    (ada,) = read(put(tmp_path / "in", files)).submissions
    assert (dict(ada.files), ada.identity.attempt) == (BOTH, None)
    assert ada.ignored == ("notes-2.txt",)


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_upload_counts_in_any_order(tmp_path: Path, order: int) -> None:
    files = {
        "ada_11_901_ada_s3.zip": zipped(marked("first")),
        "ada_11_950_ada_s3-1.zip": zipped(marked("second")),
        "ada_11_940_ada_s3-10.zip": zipped(marked("last")),
    }
    (ada,) = read(put(tmp_path / "in", dict(list(files.items())[::order]))).submissions
    assert dict(ada.files) == marked("last")
    assert ada.identity.attempt == 11
    assert len([note for note in ada.notes if "earlier" in note]) == 2


# ---- Gradescope ----------------------------------------------------------------------------------


def test_gradescope(lay_out: Callable[[Files], Path]) -> None:
    collected = read(lay_out(downloads.gradescope()))
    assert (collected.layout, collected.errors) == ("gradescope", ())
    found = by_name(collected)
    ada, bob, sofia = (found[n] for n in ("Ada Lovelace", "Bob O'Hara", "Софья Ковалевская"))
    assert dict(ada.files) == BOTH
    assert (ada.identity.platform_id, ada.identity.email) == ("1815", "ada@example.org")
    assert ada.identity.attempt == 2
    assert ada.submitted_at == "2027-01-25T21:30:00.123456+00:00"
    assert dict(bob.files) == dict(sofia.files) == marked("group")
    assert bob.submitted_at == sofia.submitted_at == "2027-01-26T09:00:00.500000+01:00"
    assert bob.group == sofia.group == "submission_502"
    assert sofia.identity.platform_id == "sofia@example.org"
    assert ada.group == ""


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        ("submission_501: [", "is not readable YAML in line"),
        ("- 1\n- 2\n", "expected a mapping of submissions"),
        ("\xff", "expected a mapping"),
    ],
)
def test_malformed_metadata_is_one_line(tmp_path: Path, metadata: str, line: str) -> None:
    path = put(tmp_path / "in", downloads.gradescope(metadata))
    with pytest.raises(SubmissionError, match=line) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_metadata_of_others_and_without_times(tmp_path: Path) -> None:
    metadata = (
        "submission_501: {submitters: [{name: Ada, email: a@x.org}], created_at: yesterday}\n"
        "submission_777: {submitters: [{name: Eve}]}\n"
    )
    collected = read(put(tmp_path / "in", downloads.gradescope(metadata)))
    found = by_name(collected)
    assert set(found) == {"Ada", "submission_502"}
    assert found["Ada"].submitted_at is None
    assert found["Ada"].notes == (
        "the time of submission 'yesterday' in the metadata cannot be read",
    )
    assert len(collected.errors) == 2
    assert any("'submission_777'" in line for line in collected.errors)
    assert any("names no submitter" in line for line in collected.errors)


def test_of_two_submissions_of_one_person_the_later_counts(tmp_path: Path) -> None:
    metadata = downloads.GRADESCOPE_METADATA.replace("Bob O'Hara", "Ada Lovelace").replace(
        "'1816'", "'1815'"
    )
    found = by_name(read(put(tmp_path / "in", downloads.gradescope(metadata))))
    assert dict(found["Ada Lovelace"].files) == marked("group")
    assert any("'submission_501/' is an earlier" in line for line in found["Ada Lovelace"].notes)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2027-11-07 01:30:00 -07:00", "2027-11-07 01:10:00 -08:00"),  # clocks went back
        ("2027-01-26 09:00:00.5 +01:00", "2027-01-26 08:30:00 Z"),
        ("2027-01-25 23:50:00 Z", "2027-01-26 00:10:00.25 +00:00"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_later_is_so_in_any_zone(tmp_path: Path, first: str, second: str, turned: bool) -> None:
    person = ":submitters:\n  - :name: Ada\n    :sid: '1'\n"
    times = (second, first) if turned else (first, second)
    metadata = "".join(
        f"submission_50{i}:\n  {person}  :created_at: {time}\n" for i, time in enumerate(times)
    )
    files = {"submission_metadata.yml": metadata.encode()}
    for i in range(2):
        files |= under(f"submission_50{i}", marked(times[i]))
    (found,) = read(put(tmp_path / "in", files)).submissions
    assert dict(found.files) == marked(second)


# ---- nbgrader ------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["", "submitted"])
def test_nbgrader(tmp_path: Path, start: str) -> None:
    put(tmp_path / "course", downloads.nbgrader())
    collected = read(tmp_path / "course" / start)
    assert collected.layout == "nbgrader"
    found = by_name(collected)
    assert {name: dict(s.files) for name, s in found.items()} == {"ada": BOTH, "bob": marked("bob")}
    assert found["ada"].submitted_at == "2027-01-25T21:30:00.123456+00:00"
    assert found["bob"].submitted_at == "2027-01-25T23:30:00+01:00"
    assert found["ada"].identity.platform_id == "ada"
    assert found["ada"].identity.download == "ada/s3/"
    assert collected.errors == ("'cleo' has not submitted 's3'",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2027-01-25 21:30:00", "2027-01-25T21:30:00+00:00"),
        (b"2027-01-25 21:30:00.5 UTC\n", "2027-01-25T21:30:00.500000+00:00"),
        (b"2027-07-25 21:30:00 America/Los_Angeles", "2027-07-25T21:30:00-07:00"),
        (b"2027-01-25T21:30:00+01:00", "2027-01-25T21:30:00+01:00"),
        (b"2027-01-25 21:30:00 XYZ", None),
        (b"yesterday", None),
        (b"\xff\xfe", None),
    ],
)
def test_time_stamps(tmp_path: Path, text: bytes, expected: str | None) -> None:
    files = {**under("submitted/ada/s3"), "submitted/ada/s3/timestamp.txt": text}
    (ada,) = read(put(tmp_path / "course", files)).submissions
    assert ada.submitted_at == expected
    assert bool(ada.notes) == (expected is None)


def test_assignments_of_other_names_are_not_guessed_at(tmp_path: Path) -> None:
    files = {**under("submitted/ada/ps1"), **under("submitted/ada/ps2")}
    with pytest.raises(SubmissionError, match="none of the assignments 'ps1', 'ps2' is named s3"):
        read(put(tmp_path / "course", files))


def test_a_plain_folder_may_be_called_submitted(tmp_path: Path) -> None:
    files = {**under("submitted/ada"), **under("submitted/bob", marked("bob"))}
    put(tmp_path, {**files, "submitted/ada/old/coding.py": b"old = 1\n"})
    collected = read(tmp_path / "submitted")
    assert collected.layout == "plain"
    assert dict(by_name(collected)["ada"].files) == BOTH


# ---- clones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "left"), [("s3-clustering-", ""), ("homework-", "homework-"), ("", "")]
)
def test_clones(tmp_path: Path, prefix: str, left: str) -> None:
    collected = read(put(tmp_path / "in", downloads.clones(prefix)))
    assert (collected.layout, collected.errors) == ("clones", ())
    found = by_name(collected)
    assert {name: dict(s.files) for name, s in found.items()} == {
        f"{left}ada": BOTH,
        f"{left}bob": marked("bob"),
    }
    assert found[f"{left}ada"].identity.download == f"{prefix}ada/"
    assert found[f"{left}ada"].ignored == ()


def test_a_clone_may_hold_more_files_than_an_archive(tmp_path: Path) -> None:
    files = {f"ada/notes/{i}.txt": b"" for i in range(3 * LIMITS.max_files)}
    (ada,) = read(put(tmp_path / "in", {**files, **under("ada"), "ada/.git/HEAD": b""})).submissions
    assert (dict(ada.files), ada.problems) == (BOTH, ())


# ---- which layout --------------------------------------------------------------------------------


def test_plain_is_what_is_left(tmp_path: Path) -> None:
    files = {**under("ada"), "bob_s3.zip": zipped(marked("bob"))}
    collected = read(put(tmp_path / "in", files))
    assert collected.layout == "plain"
    found = by_name(collected)
    assert {name: dict(s.files) for name, s in found.items()} == {"ada": BOTH, "bob": marked("bob")}
    assert found["ada"].identity.platform_id == ""


def test_a_zip_of_plain_folders_is_a_class_where_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "class.zip"
    path.write_bytes(zipped({**under("ada"), **under("bob", marked("bob"))}))
    (one,) = read(path).submissions
    assert "more than one place" in one.problems[0]
    assert set(by_name(read(path, "plain"))) == {"ada", "bob"}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_that_is_asked_for_is_never_another(tmp_path: Path, layout: str) -> None:
    path = put(tmp_path / "in", {**under("ada"), **under("bob")})
    if layout == "plain":
        assert read(path, layout).layout == "plain"
        return
    with pytest.raises(SubmissionError) as caught:
        read(path, layout)
    assert "no submissions in" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="unknown layout 'moodel': use plain, "):
        read(put(tmp_path / "in", under("ada")), "moodel")


def test_two_attempts_in_different_layouts(tmp_path: Path) -> None:
    files = {
        **under("Ada Lovelace_101_assignsubmission_file_"),
        **under("Bob_102_assignsubmission_file_", marked("bob")),
        "Ada Lovelace.zip": zipped(marked("other")),
        "grades.txt": b"x",
    }
    collected = read(put(tmp_path / "in", files))
    line = (
        "'Ada Lovelace_101_assignsubmission_file_/' and 'Ada Lovelace.zip' may be the same "
        "student's; none was graded, keep one"
    )
    assert line in collected.errors
    assert "'grades.txt' is neither a folder nor an archive and was skipped" in collected.errors
    found = {s.slug: s for s in collected.submissions}
    assert len(found) == 3
    assert [dict(s.files) for s in found.values() if not s.problems] == [marked("bob")]
    assert all(s.problems == (line,) for s in found.values() if not s.files)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada Lovelace_11_assignsubmission_file_", "Ada Lovelace 11"),
        ("Ada Lovelace_11_assignsubmission_file_", "Ada Lovelace 11.zip"),
        ("Zoë_11_assignsubmission_file_", unicodedata.normalize("NFD", "Zoë 11.zip")),
        ("Kim 1_assignsubmission_file_", "Kim_1_assignsubmission_file_"),
        ("kim_11_901_s3.zip", "kim 11"),
    ],
)
def test_two_submissions_of_one_record_are_both_told(tmp_path: Path, one: str, other: str) -> None:
    files: Files = {}
    end = "901_s3.zip" if "901" in one else "assignsubmission_file_"
    for name in (one, other, f"Bob_12_{end}", f"Cleo_13_{end}"):
        files |= {name: zipped(BOTH)} if name.endswith(".zip") else under(name)
    collected = read(put(tmp_path / "in", files))
    line = next(line for line in collected.errors if "none was graded" in line)
    assert unicodedata.normalize("NFC", one) in line
    assert other in line
    assert [s.problems for s in collected.submissions if not s.files] == [(line,)]
    assert [s.student for s in collected.submissions if s.files] == ["Bob", "Cleo"]
    (lost,) = (s for s in collected.submissions if not s.files)
    assert lost.identity.platform_id in ("11", "1", "")


def test_names_in_a_class_zip_cannot_leave_it(tmp_path: Path) -> None:
    path = tmp_path / "class.zip"
    good = under("Ada_1_assignsubmission_file_")
    path.write_bytes(zipped({**good, **under("../Eve_2_assignsubmission_file_"), "/abs": b"x"}))
    assert set(by_name(read(path))) == {"Ada"}


def test_a_link_in_a_download_is_not_followed(tmp_path: Path) -> None:
    put(tmp_path / "secret", BOTH)
    put(tmp_path / "in", under("Ada_1_assignsubmission_file_"))
    (tmp_path / "in" / "Eve_2_assignsubmission_file_").symlink_to(tmp_path / "secret")
    eve = by_name(read(tmp_path / "in"))["Eve"]
    assert eve.files == ()
    assert eve.problems == eve.incidents != ()
    assert "symbolic link" in eve.problems[0]


def test_what_lacks_a_file_still_has_the_other(tmp_path: Path) -> None:
    files = {"ada_1_2_coding.py": CODING, "bob_3_4_deep_compression.py": METRICS}
    found = by_name(read(put(tmp_path / "in", files)))
    assert dict(found["ada"].files) == {"coding.py": CODING}
    assert found["ada"].problems == ("deep_compression.py is missing",)
    assert dict(found["bob"].files) == {"deep_compression.py": METRICS}


@pytest.mark.parametrize("layout", ["moodle", "moodle_flat", "canvas", "gradescope"])
def test_names_in_a_class_zip_are_utf8_with_and_without_its_flag(
    tmp_path: Path, layout: str
) -> None:
    files = {unicodedata.normalize("NFD", n): d for n, d in getattr(downloads, layout)().items()}
    files |= under("Zoë Müller_120_assignsubmission_file_", marked("zoe"))
    for name, data in (("flag.zip", zipped(files)), ("none.zip", unflagged(zipped(files)))):
        (tmp_path / name).write_bytes(data)
    assert read(tmp_path / "none.zip") == read(tmp_path / "flag.zip")


def test_an_older_name_in_a_class_zip_is_still_read(tmp_path: Path) -> None:
    data = unflagged(zipped(under("Mxller_101_assignsubmission_file_")))
    (tmp_path / "class.zip").write_bytes(data.replace(b"Mxller", "Müller".encode("cp437")))
    assert set(by_name(read(tmp_path / "class.zip"))) == {"Müller"}


@pytest.mark.parametrize("start", ["petrovaana_11_90{}_", "Ana_11_assignsubmission_file_"])
@pytest.mark.parametrize("beside", ["data.zip", "data.rar", "notes.txt", "link.zip", "link.py"])
@pytest.mark.parametrize("size", [0, LIMITS.max_bytes + 1])
def test_a_loose_file_that_cannot_be_read_costs_only_itself(
    tmp_path: Path, start: str, beside: str, size: int
) -> None:
    names = [start.format(i) + name for i, name in enumerate((*BOTH, beside))]
    put(tmp_path / "in", dict(zip(names, (*BOTH.values(), bytes(size)), strict=True)))
    if beside.startswith("link"):
        (tmp_path / "in" / names[-1]).unlink()
        (tmp_path / "in" / names[-1]).symlink_to("/etc/passwd")
    (found,) = read(tmp_path / "in").submissions
    assert (dict(found.files), found.problems) == (BOTH, ())
    linked = any("link" in line for line in found.incidents)
    assert linked == (beside == "link.zip")


@pytest.mark.parametrize("layout", ["moodle", "plain"])
def test_a_folder_that_cannot_be_read_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    name = "Ana_11_assignsubmission_file_" if layout == "moodle" else "ana"
    root = put(tmp_path / "in", {**under(name), f"{name}/locked/a/x.py": b"", **under("bob")})
    real = folder.open_folder

    def opened(name: str, parent: Folder | None = None) -> Folder:
        if name == "locked":
            raise PermissionError(13, "Permission denied")
        return real(name, parent)

    monkeypatch.setattr(folder, "open_folder", opened)
    found = min(read(root).submissions, key=lambda each: each.slug)
    assert (dict(found.files), found.problems) == (BOTH, ())
    (line,) = found.incidents
    assert line == "'locked/' was ignored: it cannot be read (Permission denied)"


@pytest.mark.parametrize("name", ["ada_s3 (1).zip", "ada_s3(2).zip", "ada_s3-1.zip", "ada_S3.ZIP"])
def test_a_second_download_of_an_archive_is_no_second_student(tmp_path: Path, name: str) -> None:
    root = put(tmp_path / "in", {name: zipped(BOTH), "bob_s3.zip": zipped(BOTH)})
    assert set(by_name(read(root))) == {"ada", "bob"}
    put(root, {"ada_s3.zip": zipped(marked("another"))})
    collected = read(root)
    assert {s.student for s in collected.submissions} == {"ada", "bob"}
    assert any("'ada_s3.zip'" in line and f"'{name}'" in line for line in collected.errors)


@pytest.mark.parametrize("name", ["ada (1)", "ada_s31", "team-1", "_s3", "ada_s3 (1) b"])
def test_a_number_in_a_students_own_name_stays(tmp_path: Path, name: str) -> None:
    root = put(tmp_path / "in", {f"{name}.zip": zipped(BOTH), "ada_s3 (2)/coding.py": CODING})
    assert set(by_name(read(root))) == {name, "ada_s3 (2)"}


def test_a_zip_beside_loose_files_may_be_one_students(tmp_path: Path) -> None:
    root = put(tmp_path / "ada", {"work.zip": zipped(BOTH), "notes.txt": b""})
    (found,) = read(root).submissions
    assert (found.student, dict(found.files)) == ("work", BOTH)
    put(root, BOTH)
    with pytest.raises(SubmissionError, match="both a submission"):
        read(root)
