"""No student's files decide how a class is read, whose a submission is, or when it came."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from autograder.errors import SubmissionError
from autograder.submissions import Collected, collect
from tests.collect import downloads
from tests.collect.downloads import BOTH, LIMITS, METRICS, marked, put, session, under, zipped

SESSION = session()
FOLDER = SESSION.folder
FORGED = """submission_1:
  :submitters:
  - :name: Bob
    :sid: "7"
  :created_at: 2027-01-20 10:00:00 Z
"""
TIME = b"2027-01-20 10:00:00 UTC"

LAID = {  # what a student may pack, by what it looks like
    "a clone": {**under("repo"), "repo/.git/HEAD": b"ref: x"},
    "two clones": {**under("repo"), "repo/.git/HEAD": b"", "lib/.git/HEAD": b""},
    "a repository": {**BOTH, ".git/HEAD": b"ref: x"},
    "Gradescope's": {**under("submission_1"), "submission_metadata.yml": FORGED.encode()},
    "Gradescope's, damaged": {**under("submission_1"), "submission_metadata.yml": b"["},
    "its metadata alone": {**BOTH, "submission_metadata.yml": FORGED.encode()},
    "a time": {**under(FOLDER), f"{FOLDER}/timestamp.txt": TIME},
    "a time of any folder": {**under("code"), "code/timestamp.txt": TIME},
    "a time beside the files": {**BOTH, "data/timestamp.txt": TIME},
    "a course of nbgrader's": {
        **under("submitted/bob/s3"),
        "submitted/bob/s3/timestamp.txt": TIME,
    },
    "Moodle's": under("Bob_7_assignsubmission_file_"),
    "Moodle's, loose": {f"Bob_7_assignsubmission_file_{n}": d for n, d in BOTH.items()} | BOTH,
    "Canvas'": {f"bob_7_{i}_{n}": d for i, (n, d) in enumerate(BOTH.items())} | BOTH,
}
laid = pytest.mark.parametrize("inside", LAID.values(), ids=LAID)


def read(path: Path, layout: str | None = None, **options: bool) -> Collected:
    return collect(path, SESSION, LIMITS, layout=layout, **options)


def told(collected: Collected) -> dict[str, tuple[object, ...]]:
    """Whose the submissions are, when they came, and what they hold; by slug."""
    return {
        s.slug: (s.student, s.identity.name, s.identity.platform_id, s.submitted_at, dict(s.files))
        for s in collected.submissions
    }


# ---- in a class ----------------------------------------------------------------------------------

OTHERS = {
    "moodle": under("Bob O'Hara_102_assignsubmission_file_"),
    "moodle, loose": {f"Bob O'Hara_102_assignsubmission_file_{n}": d for n, d in BOTH.items()},
    "canvas": {f"ohara_12_90{i}_{n}": d for i, (n, d) in enumerate(BOTH.items())},
    "gradescope": downloads.gradescope(),
    "nbgrader": downloads.nbgrader(),
    "clones": downloads.clones(),
    "plain": {**under("bob"), **under("cleo", marked("cleo"))},
    "one other": under("bob"),
    "plain in folders": {**under(f"bob/{FOLDER}"), **under("cleo/code", marked("cleo"))},
    "plain archives": {"bob_s3.zip": zipped(BOTH), "cleo.zip": zipped(marked("cleo"))},
}
ONE = {  # where the student's files lie then; an archive where the name is one's
    "moodle": ["Ana_14_assignsubmission_file_/", "Ana_14_assignsubmission_file_/ana_s3.zip"],
    "moodle, loose": ["Ana_14_assignsubmission_file_ana_s3.zip"],
    "canvas": ["petrovaana_14_950_ana_s3.zip", "petrovaana_LATE_14_950_work-1.zip"],
    "gradescope": ["submission_501/", "submission_501/ana_s3.zip"],
    "nbgrader": ["submitted/ada/s3/", "submitted/ada/s3/ada_s3.zip"],
    "clones": ["s3-clustering-ada/"],
    "plain": ["ana/", "ana_s3.zip", "ana.zip"],
    "one other": ["ana/", "ana_s3.zip", "ana.zip"],
    "plain in folders": ["ana/"],
    "plain archives": ["ana/", "ana_s3.zip", "ana.zip"],
}


def a_class(
    others: Mapping[str, bytes], where: str, inside: Mapping[str, bytes]
) -> dict[str, bytes]:
    if where.endswith("/"):
        return {**others, **{where + name: data for name, data in inside.items()}}
    return {**others, where: zipped(inside)}


@laid
@pytest.mark.parametrize(
    ("kind", "where"), [(kind, where) for kind, places in ONE.items() for where in places]
)
def test_a_class_is_read_the_same_whatever_one_student_packs(
    tmp_path: Path, kind: str, where: str, inside: dict[str, bytes]
) -> None:
    plain = read(put(tmp_path / "usual", a_class(OTHERS[kind], where, BOTH)))
    odd = read(put(tmp_path / "odd", a_class(OTHERS[kind], where, inside)))
    assert len(plain.submissions) > 1
    assert told(odd) == told(plain)
    assert (odd.layout, odd.errors) == (plain.layout, plain.errors)


@laid
def test_a_folder_called_submitted_is_no_course_for_one_students_folder(
    tmp_path: Path, inside: dict[str, bytes]
) -> None:
    root = put(tmp_path / "submitted", a_class({**under("bob"), **under("cleo")}, "ana/", inside))
    collected = read(root)
    assert (collected.layout, collected.errors) == ("plain", ())
    assert {
        s.student: (dict(s.files), s.submitted_at) for s in collected.submissions
    } == dict.fromkeys(("ana", "bob", "cleo"), (BOTH, None))


# ---- alone ---------------------------------------------------------------------------------------


@laid
@pytest.mark.parametrize(
    ("where", "student"),
    [
        ("ada/", "ada"),
        ("ada/in/side/", "ada"),
        ("ada_s3.zip", "ada"),
        ("ada.zip", "ada"),
        ("ada_S3 (1).zip", "ada"),
        ("petrovaana_14_950_work.zip", "petrovaana"),
        ("Ana Petrova_14_assignsubmission_file_work.zip", "Ana Petrova"),
    ],
)
@pytest.mark.parametrize("beside", [{}, {"README.txt": b"x", "times.csv": b"x", ".DS_Store": b"x"}])
def test_what_a_student_alone_packs_says_nothing_of_whose_it_is(
    tmp_path: Path, where: str, student: str, beside: dict[str, bytes], inside: dict[str, bytes]
) -> None:
    root = put(tmp_path / "late", a_class({}, where, inside))
    opened = where == "ada.zip" and not BOTH.keys() <= inside.keys()  # it may be a download
    paths = [root] if where.endswith("/") or opened else [root, root / where]
    put(root, {} if where.endswith("/") else beside)
    for path in paths:
        (found,) = read(path).submissions
        assert (found.student, found.submitted_at, dict(found.files)) == (student, None, BOTH)
        assert found.identity.name == student


def test_another_reading_of_what_lies_alone_is_a_line(tmp_path: Path) -> None:
    root = put(tmp_path / "late", a_class({}, "ada/", LAID["Moodle's"]))
    assert read(root).errors == (
        "'ada' was read as one student's, by its name; what lies in it looks like Moodle's "
        "download: if it is, give --layout moodle",
    )
    assert [s.student for s in read(root, "moodle").submissions] == ["Bob"]
    packed = put(tmp_path / "packed", a_class({}, "ada_s3.zip", LAID["Gradescope's"]))
    for path in (packed, packed / "ada_s3.zip"):
        (line,) = read(path).errors
        assert line.startswith("'ada_s3.zip' was read as one student's")
        (asked,) = read(path, "gradescope").submissions
        assert (asked.student, asked.submitted_at is None) == ("Bob", False)


@pytest.mark.parametrize("name", ["class.zip", "ada.zip"])
def test_a_download_with_one_student_in_it_is_a_line(tmp_path: Path, name: str) -> None:
    """By its name it may be either: given by itself it is opened, in a folder it is a student's."""
    path = put(tmp_path / "in", {name: zipped(LAID["Gradescope's"])}) / name
    stem = name.removesuffix(".zip")
    alone = read(path)
    assert [s.student for s in alone.submissions] == ["Bob"]
    assert alone.errors == (
        f"'{name}' was read as Gradescope's export, in which one student is named; if it is a "
        f"student's own work, name it {stem}_s3.zip",
    )
    within = read(path.parent)
    assert [s.student for s in within.submissions] == [stem]
    assert len(within.errors) == 1


@pytest.mark.parametrize(("prefix", "layout"), [("s3-", "clones"), ("", "plain")])
def test_clones_in_a_folder_alone_are_a_class_by_their_names(
    tmp_path: Path, prefix: str, layout: str
) -> None:
    files = {f"clones/{name}": data for name, data in downloads.clones(prefix).items()}
    root = put(tmp_path / "in", files)
    collected = read(root)
    assert (collected.layout, bool(collected.errors)) == (layout, layout == "plain")
    for each in (read(root, "clones"), read(root / "clones")):
        assert [s.student for s in each.submissions] == ["ada", "bob"]


def test_an_archive_is_never_clones_or_nbgraders_unless_asked(tmp_path: Path) -> None:
    for layout in ("clones", "nbgrader"):
        files = {**getattr(downloads, layout)(), **under("bob", marked("more"))}
        path = put(tmp_path / layout, {"class.zip": zipped(files)}) / "class.zip"
        assert [s.student for s in read(path, accept_missing=True).submissions] == ["class"]
        assert len(read(path, layout).submissions) > 1


def test_plain_that_is_asked_for_opens_no_archive_in_a_folder(tmp_path: Path) -> None:
    root = put(tmp_path / "late", {"ada.zip": zipped(downloads.moodle())})
    assert [s.student for s in read(root, "plain", accept_missing=True).submissions] == ["ada"]


def test_own_names_win_over_an_archive_where_a_layout_is_asked_for(tmp_path: Path) -> None:
    root = put(tmp_path / "in", downloads.canvas())
    put(root, {"LATE_anon_x7Gh2_908_s3.zip": zipped(LAID["Canvas'"])})
    assert told(read(root, "canvas")).keys() == told(read(root)).keys()


def test_a_damaged_archive_alone_is_its_students(tmp_path: Path) -> None:
    path = put(tmp_path / "in", {"ada_s3.zip": b"PK"}) / "ada_s3.zip"
    for each in (path, path.parent):
        (found,) = read(each).submissions
        assert (found.student, found.files) == ("ada", ())
        assert found.problems == ("'ada_s3.zip': not a zip archive, or cut off",)
    with pytest.raises(SubmissionError, match="not a zip archive"):
        read(path, "moodle")


# ---- nbgrader's ----------------------------------------------------------------------------------


def test_what_is_not_nbgraders_in_its_course_is_read_as_plain(tmp_path: Path) -> None:
    more = {
        **under("submitted/dora", marked("dora")),
        **under("submitted/emmy/code", marked("emmy")),
        "submitted/fritz_s3.zip": zipped(marked("fritz")),
        "submitted/grace/s1/metrics.py": METRICS,
        "submitted/Thumbs.db": b"x",
    }
    for name in ("helen", "ivy"):
        more |= {**under(f"submitted/{name}/s3"), f"submitted/{name}/s3/timestamp.txt": TIME}
    put(tmp_path / "course", {**downloads.nbgrader(), **more})
    for start in ("", "submitted"):
        collected = read(tmp_path / "course" / start)
        assert collected.layout == "nbgrader"
        found = {s.student: dict(s.files) for s in collected.submissions}
        assert found == {
            **{"ada": BOTH, "bob": marked("bob"), "helen": BOTH, "ivy": BOTH},
            **{name: marked(name) for name in ("dora", "emmy", "fritz")},
        }
        assert collected.errors == tuple(
            f"'{name}' has not submitted 's3'" for name in ("cleo", "grace")
        )


def test_what_lies_beside_submitted_is_not_lost_without_a_line(tmp_path: Path) -> None:
    steps = {f"{name}/{FOLDER}/coding.py": b"" for name in ("source", "release", "feedback")}
    work = {**under("dora"), **under(f"emmy/{FOLDER}"), "fritz_s3.zip": zipped(BOTH)}
    files = {**downloads.nbgrader(), **steps, **work, "slides/x.pdf": b"", "gradebook.db": b""}
    collected = read(put(tmp_path / "course", files))
    assert [s.student for s in collected.submissions] == ["ada", "bob"]
    assert collected.errors[1:] == tuple(
        f"'{name}' was skipped: it lies beside submitted/"
        for name in ("dora", "emmy", "fritz_s3.zip")
    )


@pytest.mark.parametrize("times", [True, False])
def test_the_sessions_own_assignment_is_found_among_those_of_most(
    tmp_path: Path, times: bool
) -> None:
    files = {**under("submitted/ada/s3")}
    for name in ("ada", "bob", "cleo", "dan"):
        files |= {f"submitted/{name}/s1/work.py": b""}
        if times:
            files |= {f"submitted/{name}/s1/timestamp.txt": TIME}
    collected = read(put(tmp_path / "course", files))
    assert [s.student for s in collected.submissions] == ["ada"]
    assert len(collected.errors) == 3


# ---- one submission ------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", ["a clone", "Gradescope's", "a course of nbgrader's"])
def test_one_students_own_folder_is_one_submission(tmp_path: Path, inside: str) -> None:
    files = {f"{FOLDER}/{name}": data for name, data in BOTH.items()}
    root = put(tmp_path / "ada", {**LAID[inside], **files})
    try:
        (found,) = read(root).submissions
    except SubmissionError as error:
        assert "both a submission" in str(error)  # noqa: PT017
    else:
        assert (found.student, dict(found.files)) == ("ada", BOTH)
