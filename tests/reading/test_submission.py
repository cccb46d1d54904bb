"""Submissions of every shape become records: nothing is dropped, followed or written."""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import ArchiveLimits, Module, Session
from autograder.errors import SubmissionError
from autograder.submissions import Submission, collect, files, folder, identity, read_submission
from autograder.submissions.identity import display_name, file_name_for, same_student_key, slug
from autograder.submissions.members import MAX_DEPTH, MAX_SOURCE_BYTES
from autograder.submissions.source import normalize
from autograder.submissions.submission import content_hash
from tests.collect.downloads import LIMITS, put, session_of

METRICS = b"def sparsity(tensor):\n    return 0.0\n"
TRAINING = b"def fit(model):\n    return model\n"
BOTH = {"metrics.py": METRICS, "training.py": TRAINING}


@pytest.fixture(scope="module")
def session() -> Session:
    return session_of("s1_intro", {"metrics.py": "s1.sparsity", "training.py": "s1.fit"})


def put_zip(path: Path, contents: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return path


def read(path: Path, session: Session) -> Submission:
    return read_submission(path, session, LIMITS)


# ---- shapes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "s1_intro/", "My work/"])
@pytest.mark.parametrize("shape", ["folder", "zip"])
def test_every_shape_gives_the_same_record(
    tmp_path: Path, session: Session, prefix: str, shape: str
) -> None:
    contents = {prefix + name: data for name, data in BOTH.items()}
    if shape == "folder":
        path = put(tmp_path / "Ada L", contents)
    else:
        path = put_zip(tmp_path / "Ada L.zip", contents)
    submission = read(path, session)
    assert submission == Submission(
        student="Ada L",
        slug=slug("Ada L"),
        sha256=submission.sha256,
        files=tuple(BOTH.items()),
    )
    reference = hashlib.sha256()
    for part in (b"metrics.py", METRICS, b"training.py", TRAINING):
        reference.update(len(part).to_bytes(8, "big") + part)
    assert submission.sha256 == reference.hexdigest()


def test_the_hash_is_of_the_listed_files_only(tmp_path: Path, session: Session) -> None:
    plain = read(put(tmp_path / "a", BOTH), session)
    more = read(put(tmp_path / "b", {**BOTH, "notes.txt": b"x"}), session)
    windows = {name: data.replace(b"\n", b"\r\n") for name, data in BOTH.items()}
    crlf = read(put(tmp_path / "c", windows), session)
    other = read(put(tmp_path / "d", {**BOTH, "metrics.py": METRICS + b"#"}), session)
    assert plain.sha256 == more.sha256 == crlf.sha256 != other.sha256
    assert more.ignored == ("notes.txt",)
    assert crlf.files == plain.files


def test_names_and_bytes_cannot_be_shifted_in_the_hash(tmp_path: Path, session: Session) -> None:
    one = read(put(tmp_path / "a", {"metrics.py": b"xy", "training.py": b""}), session)
    two = read(put(tmp_path / "b", {"metrics.py": b"x", "training.py": b"y"}), session)
    assert one.sha256 != two.sha256


def test_bad_bytes_still_count_in_the_hash(tmp_path: Path, session: Session) -> None:
    one = read(put(tmp_path / "a", {**BOTH, "metrics.py": b"\xff"}), session)
    two = read(put(tmp_path / "b", {**BOTH, "metrics.py": b"\xfe\xff"}), session)
    assert one.sha256 != two.sha256
    assert one.files == two.files == (("training.py", TRAINING),)


# ---- what is missing or in the wrong folder --------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "problems"),
    [
        ({}, ["metrics.py is missing", "training.py is missing"]),
        ({"metrics.py": METRICS}, ["training.py is missing"]),
        (
            {"Metrics.py": METRICS, "training.py": TRAINING},
            ["metrics.py is missing; 'Metrics.py' was ignored: its name has to be metrics.py"],
        ),
        (
            {"s1_intro/training.py": TRAINING, "s1_intro/old/metrics.py": METRICS},
            ["metrics.py is missing; 's1_intro/old/metrics.py' was ignored"],
        ),
        ({"old/metrics.py": METRICS, **BOTH}, []),
        (
            {"a/metrics.py": METRICS, "b/training.py": TRAINING},
            ["the session's files lie in more than one place ('a' and 'b'); keep one"],
        ),
    ],
)
def test_problems_of_place(
    tmp_path: Path, session: Session, contents: dict[str, bytes], problems: list[str]
) -> None:
    submission = read(put_zip(tmp_path / "a.zip", contents or {"notes.txt": b"x"}), session)
    assert list(submission.problems) == problems
    assert not any("place" in problem for problem in problems) or submission.files == ()


def test_the_sessions_own_folder_wins_over_others(tmp_path: Path, session: Session) -> None:
    contents = {f"s1_intro/{name}": data for name, data in BOTH.items()}
    submission = read(
        put_zip(tmp_path / "a.zip", {**contents, "shared/metrics.py": b"no"}), session
    )
    assert dict(submission.files) == BOTH
    assert submission.problems == submission.incidents == ()


def test_hidden_files_are_skipped(tmp_path: Path, session: Session) -> None:
    hidden = {
        "__MACOSX/metrics.py": b"x",
        "__MACOSX/._conftest.py": b"x",
        ".DS_Store": b"x",
        ".git/metrics.py": b"x",
        ".venv/torch.py": b"x",
    }
    for path in (
        put_zip(tmp_path / "a.zip", {**BOTH, **hidden}),
        put(tmp_path / "a", {**BOTH, **hidden}),
    ):
        submission = read(path, session)
        assert dict(submission.files) == BOTH
        assert submission.problems == submission.incidents == submission.ignored == ()


# ---- sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"\xef\xbb\xbfx = 1\r\n", b"x = 1\n"),
        (b"a\rb\r\nc\n", b"a\nb\nc\n"),
        (b"# -*- coding: utf-8 -*-\n", b"# -*- coding: utf-8 -*-\n"),
        (b"# vim: set fileencoding=UTF_8 :\n", b"# vim: set fileencoding=UTF_8 :\n"),
        (b"# coding: utf-8-unix\n", b"# coding: utf-8-unix\n"),
        (b"x = 1\n# coding: latin-1\n", b"x = 1\n# coding: latin-1\n"),
        (b"\n\n# coding: latin-1\n", b"\n\n# coding: latin-1\n"),
        (b"'coding: latin-1'\n", b"'coding: latin-1'\n"),
        ("é = 'ü'\n".encode(), "é = 'ü'\n".encode()),
        (b"", b""),
    ],
)
def test_sources_are_normalized(raw: bytes, clean: bytes) -> None:
    assert normalize(raw) == clean


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"x = 1\n\xe9 = 2\n", "is not UTF-8 in line 2"),
        (b"x = 1\r\n\r\n\0", "holds a NUL byte in line 3"),
        ("x = 1\n".encode("utf-16"), "is UTF-16"),
        (b"# coding: latin-1\n", "declares the encoding latin-1"),
        (b"#!/bin/python\n \t# -*- coding: rot13 -*-\n", "declares the encoding rot13"),
        (b"\xef\xbb\xbf\n# coding=utf-7\n", "declares the encoding utf-7"),
        (b"# coding: utf8x\n", "declares the encoding utf8x"),
        (b"#" * (MAX_SOURCE_BYTES + 1), "is larger than 1,000,000 bytes"),
    ],
)
def test_sources_are_refused(raw: bytes, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        normalize(raw)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_a_normalized_source_is_what_python_reads(raw: bytes) -> None:
    """Whatever is accepted means the same to the compiler as a text and as the original bytes."""
    quoted = b'"""' + raw.replace(b'"', b"").replace(b"\\", b"") + b'"""'
    try:
        text = normalize(quoted).decode("utf-8")
    except SubmissionError:
        return
    assert eval(compile(text, "t", "eval")) == eval(compile(quoted, "t", "eval"))


@pytest.mark.parametrize("shape", ["folder", "zip"])
@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"\xff", "metrics.py is not UTF-8 in line 1, save it as UTF-8"),
        (b"\n" * (MAX_SOURCE_BYTES + 1), "metrics.py is too large (1,000,001 bytes)"),
    ],
)
def test_a_bad_file_leaves_the_others(
    tmp_path: Path, session: Session, shape: str, raw: bytes, problem: str
) -> None:
    contents = {**BOTH, "metrics.py": raw}
    path = tmp_path / "a"
    path = put(path, contents) if shape == "folder" else put_zip(tmp_path / "a.zip", contents)
    submission = read(path, session)
    assert submission.problems == (problem,)
    assert submission.files == (("training.py", TRAINING),)


def test_hostile_source_is_not_compiled(tmp_path: Path, session: Session) -> None:
    deep = {**BOTH, "metrics.py": b"(" * 500_000, "training.py": b"def"}
    submission = read(put(tmp_path / "a", deep), session)
    assert dict(submission.files) == deep
    assert submission.problems == ()


# ---- data files ------------------------------------------------------------------------------

MODEL = bytes(range(256)) * 8000 + b"\r\n\xff\0"  # more than a module may have
CARD = b"\xef\xbb\xbfteam: ada\r\n"
ENTRY = {"model.onnx": MODEL, "card.yaml": CARD}


@pytest.fixture(scope="module")
def project() -> Session:
    modules = tuple(Module.model_construct(file=name, exercises=()) for name in ENTRY)
    return Session.model_construct(id="s7", folder="s7_project", title="Project", modules=modules)


@pytest.mark.parametrize("shape", ["folder", "zip"])
def test_data_files_come_byte_for_byte(tmp_path: Path, project: Session, shape: str) -> None:
    path = tmp_path / "ada.zip"
    path = put(tmp_path / "ada", ENTRY) if shape == "folder" else put_zip(path, ENTRY)
    submission = read(path, project)
    assert submission.files == tuple(ENTRY.items())
    assert submission.problems == submission.incidents == submission.ignored == ()
    assert submission.sha256 == content_hash(ENTRY)


@pytest.mark.parametrize("shape", ["folder", "zip"])
def test_the_callers_limit_is_that_of_a_data_file(
    tmp_path: Path, project: Session, shape: str
) -> None:
    fits = ArchiveLimits(max_bytes=len(MODEL) + 1000, max_ratio=1000.0)
    small = ArchiveLimits(max_bytes=len(MODEL) - 1, max_ratio=1000.0)
    path = tmp_path / "ada.zip"
    path = put(tmp_path / "ada", ENTRY) if shape == "folder" else put_zip(path, ENTRY)
    assert dict(read_submission(path, project, fits).files) == ENTRY
    refused = read_submission(path, project, small)
    assert "model.onnx" not in dict(refused.files)
    line = {
        "folder": f"model.onnx is too large ({len(MODEL):,} bytes)",
        "zip": f"'ada.zip': is larger than {len(MODEL) - 1:,} bytes",
    }
    assert refused.problems == (line[shape],)


def test_a_data_file_is_not_searched_for_names(tmp_path: Path, project: Session) -> None:
    submission = read(put(tmp_path / "ada", {**ENTRY, "card.yaml": b"import ctypes\n"}), project)
    assert submission.incidents == submission.problems == ()


def test_a_larger_limit_is_not_for_modules(tmp_path: Path, session: Session) -> None:
    submission = read(put(tmp_path / "ada", {**BOTH, "metrics.py": MODEL}), session)
    assert submission.problems == (f"metrics.py is too large ({len(MODEL):,} bytes)",)


# ---- incidents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "conftest.py",
        "pytest.ini",
        "pyproject.toml",
        "setup.cfg",
        "tox.ini",
        "sitecustomize.py",
        "usercustomize.py",
        "deep/er/conftest.py",
        "deep/er/sitecustomize.py",
        "torch.py",
        "numpy.py",
        "shared.py",
        "json.py",
        "torch/__init__.py",
        "metrics.so",
        "metrics.cpython-311-x86_64-linux-gnu.so",
        "metrics.pyc",
        "evil.pth",
    ],
)
def test_names_that_take_over_a_grader_are_named(
    tmp_path: Path, session: Session, name: str
) -> None:
    for prefix in ("", "s1_intro/"):
        contents = {prefix + file: data for file, data in {**BOTH, name: b"import os"}.items()}
        submission = read(put_zip(tmp_path / "a.zip", contents), session)
        assert len(submission.incidents) == 1
        assert submission.incidents[0].startswith(f"'{prefix}{name}' was ignored: ")
        assert submission.ignored == (prefix + name,)
        assert dict(submission.files) == BOTH
        assert submission.problems == ()


def test_ordinary_other_files_are_not_incidents(tmp_path: Path, session: Session) -> None:
    others = {
        "README.md": b"x",
        "lab.ipynb": b"{}",
        "test_metrics.py": b"x",
        "helpers.py": b"x",
        "model.pth": b"PK\x03\x04" + bytes(2000),
        "data/torch/weights.bin": b"x",
    }
    submission = read(put(tmp_path / "a", {**BOTH, **others}), session)
    assert submission.incidents == submission.problems == ()
    assert set(submission.ignored) == set(others)


def test_the_whole_kit_zipped_is_not_an_incident(tmp_path: Path, session: Session) -> None:
    kit = {"pyproject.toml": b"x", "shared/__init__.py": b"x", "shared/metrics.py": b"x"}
    packed = {f"s1_intro/{name}": data for name, data in BOTH.items()}
    submission = read(put_zip(tmp_path / "a.zip", {**kit, **packed}), session)
    assert dict(submission.files) == BOTH
    assert submission.incidents == ()


def test_lists_are_capped(tmp_path: Path, session: Session) -> None:
    submission = read(
        put(tmp_path / "a", {**BOTH, **{f"{i:02}.so": b"" for i in range(50)}}), session
    )
    assert len(submission.ignored) == len(submission.incidents) == 21
    assert submission.ignored[-1] == submission.incidents[-1] == "and 30 more"


# ---- archives that are refused ---------------------------------------------------------------


def test_an_unsafe_archive_is_a_problem_and_an_incident(tmp_path: Path, session: Session) -> None:
    submission = read(put_zip(tmp_path / "eve.zip", {**BOTH, "../up.py": b""}), session)
    line = "'eve.zip': the name '../up.py' leaves the archive's folder"
    assert submission.problems == submission.incidents == (line,)
    assert submission.files == ()
    assert submission.student == "eve"


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.zip", b"", "'a.zip': the file is empty"),
        ("a.zip", b"PK\5\6" + bytes(18), "'a.zip': the archive is empty"),
        ("a.zip", b"junk", "'a.zip': not a zip archive, or cut off"),
        ("a.rar", b"Rar!", "'a.rar': is not a zip; pack it as .zip"),
        ("a.7z", b"7z", "'a.7z': is not a zip; pack it as .zip"),
        ("a.tar.gz", b"\x1f\x8b", "'a.tar.gz': is not a zip; pack it as .zip"),
    ],
)
def test_an_unreadable_archive_is_a_problem_only(
    tmp_path: Path, session: Session, name: str, data: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(data)
    submission = collect(tmp_path, session, LIMITS).submissions
    assert [(s.student, s.problems, s.incidents, s.files) for s in submission] == [
        ("a", (problem,), (), ())
    ]


def test_a_vanished_submission_is_a_problem(tmp_path: Path, session: Session) -> None:
    submission = read(tmp_path / "a.zip", session)
    assert submission.problems == ("'a.zip': cannot be read (No such file or directory)",)


# ---- folders ---------------------------------------------------------------------------------


def test_links_and_special_files_are_never_opened(tmp_path: Path, session: Session) -> None:
    victim = put(tmp_path / "victim", BOTH)
    eve = tmp_path / "in" / "eve"
    eve.mkdir(parents=True)
    (eve / "metrics.py").symlink_to(victim / "metrics.py")
    (eve / "more").symlink_to(victim, target_is_directory=True)
    os.mkfifo(eve / "training.py")
    submission = read(eve, session)
    assert submission.files == ()
    assert submission.problems == (
        "metrics.py is a symbolic link",
        "training.py is a device or another special file",
    )
    assert set(submission.incidents) == {
        "'more' was ignored: it is a symbolic link",
        "'metrics.py' was ignored: it is a symbolic link",
        "'training.py' was ignored: it is a device or another special file",
    }


@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_link_in_place_of_a_submission_is_not_followed(
    tmp_path: Path, session: Session, kind: str
) -> None:
    victim = put(tmp_path / "victim", BOTH)
    if kind == "archive":
        victim = put_zip(tmp_path / "victim.zip", BOTH)
    (tmp_path / "in").mkdir()
    put(tmp_path / "in" / "bob", BOTH)
    (tmp_path / "in" / "eve.zip").symlink_to(victim)
    bob, eve = collect(tmp_path / "in", session, LIMITS).submissions
    assert dict(bob.files) == BOTH
    assert eve.files == ()
    assert eve.problems == eve.incidents
    assert eve.problems == ("'eve.zip': is a symbolic link, which is not followed",)


def test_files_swapped_for_links_after_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The open itself refuses what the check before it no longer sees."""
    put(tmp_path, {"real.py": b"secret", "other.py": b"x"})
    (tmp_path / "link.py").symlink_to("real.py")
    os.mkfifo(tmp_path / "pipe.py")
    monkeypatch.setattr(files, "refused_kind", lambda _mode: "")
    with pytest.raises(OSError, match="symbolic links"):
        files.read_file(str(tmp_path / "link.py"), 100)
    with pytest.raises(SubmissionError, match="not a regular file"):
        files.read_file(str(tmp_path / "pipe.py"), 100)
    real_stat = os.stat
    other = str(tmp_path / "other.py")
    monkeypatch.setattr(os, "stat", lambda _name, **_: real_stat(other))
    with pytest.raises(SubmissionError, match="not a regular file"):
        files.read_file(str(tmp_path / "real.py"), 100)


def test_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to(__file__)
    with pytest.raises(SubmissionError, match="is a symbolic link"):
        files.read_file(str(tmp_path / "link.py"), 100_000)


def test_a_folder_swapped_for_a_link_is_not_entered(tmp_path: Path) -> None:
    put(tmp_path / "victim", BOTH)
    (tmp_path / "link").symlink_to("victim")
    with pytest.raises(OSError):  # noqa: PT011 - the number differs between systems
        files.open_folder(str(tmp_path / "link"))


def test_without_relative_opens(
    tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way for Windows gives the same record."""
    path = put(tmp_path / "a", {f"x/{name}": data for name, data in BOTH.items()})
    (path / "link").symlink_to("x")
    usual = read(path, session)
    monkeypatch.setattr(files, "_RELATIVE", False)
    assert read(path, session) == usual
    assert dict(usual.files) == BOTH
    with pytest.raises(NotADirectoryError):
        files.open_folder(str(path / "link"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermissionError(13, "Permission denied"), "cannot be read (Permission denied)"),
        (SubmissionError("is not a regular file"), "is not a regular file"),
    ],
)
def test_a_file_that_cannot_be_read(
    tmp_path: Path,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    text: str,
) -> None:
    def refuse(name: str, limit: int, parent: object) -> bytes:
        del limit, parent
        if name == "metrics.py":
            raise error
        return TRAINING

    path = put(tmp_path / "a", BOTH)
    monkeypatch.setattr(folder, "read_file", refuse)
    submission = read(path, session)
    assert submission.problems == (f"metrics.py {text}",)
    assert submission.files == (("training.py", TRAINING),)


def test_a_file_that_grew_is_cut_short(tmp_path: Path) -> None:
    put(tmp_path, {"metrics.py": b"12345"})
    assert files.read_file(str(tmp_path / "metrics.py"), 5) == b"12345"
    with pytest.raises(SubmissionError, match="is larger than 4 bytes"):
        files.read_file(str(tmp_path / "metrics.py"), 4)


def test_too_many_entries(tmp_path: Path, session: Session) -> None:
    path = put(tmp_path / "a", {f"{i}.txt": b"" for i in range(LIMITS.max_files + 1)})
    assert read(path, session).problems == ("'a': more than 60 files",)


def test_deep_folders_are_named_and_not_entered(tmp_path: Path, session: Session) -> None:
    deep = "/".join(["d"] * 100)
    submission = read(put(tmp_path / "a", {**BOTH, f"{deep}/x.py": b""}), session)
    assert submission.ignored == ("d/" * MAX_DEPTH,)


# ---- collecting ------------------------------------------------------------------------------


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(root)): (
            path.lstat().st_mtime_ns,
            path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else b"",
        )
        for path in root.rglob("*")
    }


def test_collect_reads_everyone_and_writes_nothing(tmp_path: Path, session: Session) -> None:
    put(tmp_path / "carol", BOTH)
    put_zip(tmp_path / "alice.zip", BOTH)
    put_zip(tmp_path / "bob.zip", {f"s1_intro/{n}": d for n, d in BOTH.items()})
    (tmp_path / "eve.tar.gz").write_bytes(b"\x1f\x8b")
    put_zip(tmp_path / "dan_s1.zip", {"metrics.py": METRICS})
    put(tmp_path, {"grades.csv": b"x", ".DS_Store": b"x"})
    before = snapshot(tmp_path)
    submission = collect(tmp_path, session, LIMITS)
    assert snapshot(tmp_path) == before
    assert [s.student for s in submission.submissions] == ["alice", "bob", "carol", "dan", "eve"]
    assert [len(s.problems) for s in submission.submissions] == [0, 0, 0, 1, 1]
    assert submission.errors == ("'grades.csv' is neither a folder nor an archive and was skipped",)


@pytest.mark.parametrize("shape", ["archive", "top", "session folder", "link"])
def test_collect_takes_a_single_submission(tmp_path: Path, session: Session, shape: str) -> None:
    if shape == "archive":
        path = put_zip(tmp_path / "ada.zip", BOTH)
    elif shape == "session folder":
        path = put(tmp_path / "ada", {f"s1_intro/{n}": d for n, d in BOTH.items()})
    else:
        path = put(tmp_path / "ada", BOTH)
    if shape == "link":
        (tmp_path / "here").symlink_to(path)
        path = tmp_path / "here"
    submission = collect(path, session, LIMITS)
    assert [(s.student, dict(s.files)) for s in submission.submissions] == [("ada", BOTH)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _path: None, "cannot read .*: No such file"),
        (lambda path: path.mkdir(), "no submissions in"),
        (lambda path: path.write_bytes(b"x"), "neither a folder nor an archive"),
        (lambda path: put(path, {"notes.txt": b""}), "no submissions in"),
        (
            lambda path: (put(path, BOTH), put_zip(path / "ada.zip", BOTH)),
            "both a submission .'metrics.py'. and submissions .'ada.zip'.",
        ),
    ],
)
def test_collect_errors(
    tmp_path: Path, session: Session, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "in")
    with pytest.raises(SubmissionError, match=message) as caught:
        collect(tmp_path / "in", session, LIMITS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", ["folders", "session folders", "archives", "mixed"])
@pytest.mark.parametrize("stray", ["metrics.py", "training.py", "notes.py", "README.txt"])
def test_a_stray_file_does_not_make_one_submission_of_a_class(
    tmp_path: Path, session: Session, shape: str, stray: str
) -> None:
    for number, name in enumerate(("ada", "bob")):
        files = {f"s1_intro/{n}": d for n, d in BOTH.items()} if "session" in shape else BOTH
        if shape == "archives" or (shape == "mixed" and number):
            put_zip(tmp_path / f"{name}.zip", files)
        else:
            put(tmp_path / name, files)
    (tmp_path / stray).write_bytes(b"x = 1")
    found = collect(tmp_path, session, LIMITS)
    assert [(s.student, dict(s.files)) for s in found.submissions] == [("ada", BOTH), ("bob", BOTH)]
    assert found.errors == (f"'{stray}' is neither a folder nor an archive and was skipped",)


def test_a_whole_submission_beside_folders_of_others_is_not_guessed_at(
    tmp_path: Path, session: Session
) -> None:
    put(tmp_path, BOTH)
    put(tmp_path / "ada", BOTH)
    with pytest.raises(SubmissionError, match=r"both a submission .* and submissions \('ada'\)"):
        collect(tmp_path, session, LIMITS)


def test_a_submission_keeps_its_other_folders(tmp_path: Path, session: Session) -> None:
    put(tmp_path / "ada", BOTH)
    put(tmp_path / "ada" / "tests", {"test_public.py": b""})
    (submission,) = collect(tmp_path / "ada", session, LIMITS).submissions
    assert dict(submission.files) == BOTH


def test_names_that_begin_with_a_dot_are_not_left_out_silently(
    tmp_path: Path, session: Session
) -> None:
    for name in ("ada", ".bob", ".git", "__MACOSX", ".ipynb_checkpoints"):
        put(tmp_path / name, BOTH)
    found = collect(tmp_path, session, LIMITS)
    assert [s.student for s in found.submissions] == ["ada"]
    assert found.errors == ("'.bob' was skipped: its name begins with a dot",)


def test_folder_and_archive_of_one_student(tmp_path: Path, session: Session) -> None:
    put(tmp_path / "ada", BOTH)
    put_zip(tmp_path / "ada.zip", BOTH)
    put_zip(tmp_path / "ada_s1.zip", BOTH)
    put(tmp_path / "bob", BOTH)
    submission = collect(tmp_path, session, LIMITS)
    ada, bob = submission.submissions
    line = "'ada/' and 'ada.zip' and 'ada_s1.zip' may be the same student's"
    assert submission.errors == ada.problems == (f"{line}; none was graded, keep one",)
    assert (ada.student, ada.files) == ("ada", ())
    assert dict(bob.files) == BOTH


@pytest.mark.parametrize(
    ("one", "two"),
    [("ada", "Ada"), ("re\u0301mi", "r\u00e9mi"), ("a\u200bda", "ada"), ("ada ", "ada")],
)
def test_names_that_look_alike(tmp_path: Path, session: Session, one: str, two: str) -> None:
    put(tmp_path / one, BOTH)
    put(tmp_path / two, BOTH)
    if len(os.listdir(tmp_path)) < 2:  # noqa: PTH208
        pytest.skip("this file system takes them for one name")
    submission = collect(tmp_path, session, LIMITS)
    assert len(submission.errors) == 1
    assert all(s.problems == submission.errors and not s.files for s in submission.submissions)
    assert {s.slug for s in submission.submissions} == {slug(one), slug(two)}
    assert len(submission.submissions) == len({slug(one), slug(two)})


def test_an_entry_that_vanishes_still_has_a_record(
    tmp_path: Path, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "ada", BOTH)
    monkeypatch.setattr(os, "listdir", lambda _path: ["ada", "ghost"])
    ada, ghost = collect(tmp_path, session, LIMITS).submissions
    assert dict(ada.files) == BOTH
    assert ghost.problems == ("'ghost': cannot be read (No such file or directory)",)


def test_names_are_cleaned(tmp_path: Path, session: Session) -> None:
    raw = b"\x1b[31m\xe2\x80\xaeev\xff\n=cmd"
    put(tmp_path / os.fsdecode(raw), {**BOTH, "\x1b[2Jtorch.py": b"", "a\nb.so": b""})
    (submission,) = collect(tmp_path, session, LIMITS).submissions
    assert submission.student == "ev =cmd"
    for text in (
        submission.student,
        *submission.problems,
        *submission.incidents,
        *submission.ignored,
    ):
        assert text.isprintable()


# ---- identity --------------------------------------------------------------------------------

anything = st.text(st.characters(), max_size=200) | st.text(
    st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Mn"]), max_size=50
)


@given(anything)
def test_slugs_are_safe_file_names(raw: str) -> None:
    made = slug(raw)
    assert made.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
    assert 0 < len(made) <= 60
    assert not made.startswith("-")


@given(anything)
def test_display_names_are_safe(raw: str) -> None:
    made = display_name(raw)
    assert 0 < len(made) <= 120
    assert "\n" not in made
    assert "\x1b" not in made
    made.encode("utf-8")


@given(anything)
def test_file_names_are_safe(raw: str) -> None:
    made = file_name_for(raw)
    assert not set(made) & set('/\\:*?"<>|\0\n')
    assert made.strip(" .") == made


@given(anything, anything)
def test_names_of_one_slug_are_one_student(one: str, two: str) -> None:
    if slug(one) == slug(two):
        assert same_student_key(one) == same_student_key(two)


@given(st.lists(anything, max_size=12), st.integers(1, 3))
def test_different_names_never_share_a_slug(raws: list[str], digits: int) -> None:
    """With a hash so short that names do meet: as many slugs as names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity, "_SLUG_HASH", digits)
        made = identity.slugs(raws)
    assert made.keys() == set(raws)
    assert len(set(made.values())) == len({unicodedata.normalize("NFC", raw) for raw in raws})
    for one in made.values():
        assert one.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
        assert len(one) <= 105


@given(st.lists(anything, max_size=12))
def test_a_name_that_is_alone_keeps_its_slug(raws: list[str]) -> None:
    assert identity.slugs(raws) == {raw: slug(raw) for raw in raws}


# Two names whose SHA-256 begin with the same 48 bits.
TWINS = ("k$((!+++#", "k#$%&%$%#&")


def test_two_names_with_one_hash_are_both_kept(tmp_path: Path, session: Session) -> None:
    one, two = TWINS
    assert slug(one) == slug(two)
    put(tmp_path / one, BOTH)
    put_zip(tmp_path / f"{two}.zip", {**BOTH, "metrics.py": b"x = 1\n"})
    put(tmp_path / "bob", BOTH)
    submission = collect(tmp_path, session, LIMITS)
    by_student = {s.student: s for s in submission.submissions}
    assert set(by_student) == {one, two, "bob"}
    assert len({s.slug for s in submission.submissions}) == 3
    assert by_student["bob"].slug == slug("bob")
    assert dict(by_student[one].files) == BOTH
    assert dict(by_student[two].files)["metrics.py"] == b"x = 1\n"
    shown = f"'{two}.zip' and '{one}/'"
    assert submission.errors == (f"{shown} would share one results file; theirs have longer names",)


def test_slugs_tell_students_apart() -> None:
    raws = ["ada", "Ada", "ada ", "ad\u00e0", "", "?", "\u5b57", "\u5b58", "x" * 100, "x" * 101]
    assert len({slug(raw) for raw in raws}) == len(raws)
    assert slug("r\u00e9mi") == slug("re\u0301mi")
    assert slug("Ren\u00e9e O'Hara").startswith("renee-o-hara-")


def test_the_platform_decides_who_and_when(tmp_path: Path, session: Session) -> None:
    path = put(tmp_path / "submission", {**BOTH, "student.txt": b"someone else"})
    submission = read_submission(
        path, session, LIMITS, student="ada@x.org", submitted_at="2026-01-01T00:00:00+00:00"
    )
    assert (submission.student, submission.slug) == ("ada@x.org", slug("ada@x.org"))
    assert submission.submitted_at == "2026-01-01T00:00:00+00:00"
