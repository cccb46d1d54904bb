"""Packing: exactly the listed files with a manifest that the grader's side verifies."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.course import ArchiveLimits, Session, load_course
from autograder.errors import SubmissionError
from autograder.submissions import read_submission
from autograder.submissions.advice import advice, other_python
from autograder.submissions.manifest import verify_manifest, write_manifest
from autograder.submissions.pack import pack
from tests.collect.downloads import session_of
from tests.support import ROOT

NOW = datetime(2026, 3, 1, 12, 30, 8, tzinfo=UTC)
METRICS = "def sparsity(tensor):\n    return 0.0\n"
BLANK = 'def fit(model):\n    """Train."""\n    raise NotImplementedError("s1.fit")\n'
LIMITS = ArchiveLimits()


@pytest.fixture(scope="module")
def session() -> Session:
    return session_of("s1_intro", {"metrics.py": "s1.sparsity", "training.py": "s1.fit"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "s1_intro"
    folder.mkdir()
    (folder / "metrics.py").write_text(METRICS)
    (folder / "training.py").write_text("def fit(model):\n    return 1\n")
    (folder / "notes.txt").write_text("mine")
    (folder / "conftest.py").write_text("x")
    return folder


def test_exactly_the_listed_files_and_a_manifest(
    tmp_path: Path, session: Session, folder: Path
) -> None:
    packed = pack(session, folder, tmp_path / "out" / "deep", "Ada L", NOW)
    assert packed.path == tmp_path / "out" / "deep" / "Ada L_s1.zip"
    assert packed.warnings == ()
    assert os.listdir(packed.path.parent) == ["Ada L_s1.zip"]  # noqa: PTH208
    with zipfile.ZipFile(packed.path) as archive:
        assert archive.namelist() == ["manifest.json", "metrics.py", "training.py"]
        assert archive.read("metrics.py") == METRICS.encode()
        manifest = json.loads(archive.read("manifest.json"))
        assert {info.external_attr >> 16 for info in archive.infolist()} == {0o100644}
    assert manifest.pop("kit_version")
    assert manifest == {
        "schema_version": 1,
        "session": "s1",
        "created_at": "2026-03-01T12:30:08+00:00",
        "files": [
            {
                "name": name,
                "size": (folder / name).stat().st_size,
                "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            }
            for name in ("metrics.py", "training.py")
        ],
    }


def test_what_is_packed_is_read_without_a_problem(
    tmp_path: Path, session: Session, folder: Path
) -> None:
    (folder / "metrics.py").write_bytes(b"\xef\xbb\xbf" + METRICS.replace("\n", "\r\n").encode())
    packed = pack(session, folder, tmp_path, "Ada L")
    submission = read_submission(packed.path, session, LIMITS)
    assert (submission.student, submission.problems, submission.incidents, submission.ignored) == (
        "Ada L",
        (),
        (),
        (),
    )
    assert dict(submission.files)["metrics.py"] == METRICS.encode()


def test_the_same_moment_gives_the_same_bytes(
    tmp_path: Path, session: Session, folder: Path
) -> None:
    first = pack(session, folder, tmp_path / "a", "ada", NOW).path.read_bytes()
    os.utime(folder / "metrics.py", (1, 1))
    elsewhere = NOW.astimezone(timezone(timedelta(hours=-9)))
    assert pack(session, folder, tmp_path / "b", "ada", elsewhere).path.read_bytes() == first
    later = NOW + timedelta(seconds=2)
    assert pack(session, folder, tmp_path / "b", "ada", later).path.read_bytes() != first


def test_a_kit_that_is_not_installed_still_packs(
    tmp_path: Path, session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", unknown)
    with zipfile.ZipFile(pack(session, folder, tmp_path, "ada").path) as archive:
        assert json.loads(archive.read("manifest.json"))["kit_version"] == "unknown"


def test_an_earlier_archive_is_replaced(tmp_path: Path, session: Session, folder: Path) -> None:
    path = pack(session, folder, tmp_path, "ada", NOW).path
    (folder / "metrics.py").write_text("x = 3\n")
    assert pack(session, folder, tmp_path, "ada", NOW).path == path
    with zipfile.ZipFile(path) as archive:
        assert archive.read("metrics.py") == b"x = 3\n"


def test_blank_exercises_give_warnings(tmp_path: Path, session: Session, folder: Path) -> None:
    (folder / "training.py").write_text(BLANK)
    (folder / "metrics.py").write_text(
        "def sparsity(tensor):\n"
        "    if tensor is None:\n"
        '        raise NotImplementedError("sparse tensors")\n'
        '    """raise NotImplementedError("s1.sparsity")"""\n'
        "    raise NotImplementedError\n"
    )
    assert pack(session, folder, tmp_path, "ada").warnings == (
        "s1.fit in training.py is still blank",
        "metrics.py, line 5: `raise NotImplementedError` is left behind",
    )


def test_what_is_left_of_a_method_is_named_as_well(folder: Path, session: Session) -> None:
    text = 'def f():\n    raise NotImplementedError("{}")\n'
    for stub in ("s2.update", "s2.Observer.update"):
        assert (
            "`raise NotImplementedError` is left behind"
            in warned(folder, session, text.format(stub))[0]
        )
    assert not warned(folder, session, text.format("s2.of sparse tensors"))


def warned(folder: Path, session: Session, text: str) -> list[str]:
    """What a student hears about a module before submitting it."""
    (folder / "metrics.py").write_text(text)
    return list(pack(session, folder, folder.parent, "ada").warnings)


def test_imports_that_are_not_there_give_warnings(folder: Path, session: Session) -> None:
    text = (
        "import os.path, numpy as np, torchmetrics.functional, training\n"
        "from shared import records, profiling\n"
        "from shared.profiling import profile_layers\n"
        "from torch.nn import functional\n"
        "def sparsity(tensor):\n"
        "    import autograder.graders\n"
        "    from sklearn import metrics\n"
        "    try:\n"
        "        import faster\n"
        "    except ImportError:\n"
        "        faster = None\n"
    )
    withheld = session.model_copy(update={"withhold": ("profiling",)})
    assert warned(folder, withheld, text) == [
        "metrics.py, line 1: `torchmetrics` is not installed where this is graded",
        "metrics.py, line 2: `shared.profiling` solves exercises of this session; "
        "it is not there then",
        "metrics.py, line 6: `autograder` is not there where this is graded",
    ]


def test_what_students_get_imports_nothing_that_is_not_there() -> None:
    for session in load_course(ROOT / "course.yaml").sessions:
        folder = ROOT / "assignments" / session.folder
        trees = {
            n: ast.parse((folder / n).read_text("utf-8"))
            for n in session.required_files
            if n.endswith(".py")
        }
        assert [line for line in advice(session, trees) if "still blank" not in line] == []


def test_another_python_gives_a_warning() -> None:
    assert list(other_python((3, 11))) == []
    (line,) = other_python((3, 14))
    assert line.startswith("you use Python 3.14, and this is graded with Python 3.11")
    assert list(other_python((3, 10)))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "metrics.py").unlink(), r"metrics\.py is missing in .*s1_intro$"),
        (
            lambda folder: (folder / "metrics.py").write_text("x = 1\ndef f(:\n"),
            r"^metrics\.py, line 2: invalid syntax$",
        ),
        (
            lambda folder: (folder / "metrics.py").write_text("\n\nreturn 1\n"),
            r"^metrics\.py, line 3: 'return' outside function$",
        ),
        (lambda folder: (folder / "metrics.py").write_bytes(b"\xff"), r"^metrics\.py is not UTF-8"),
        (
            lambda folder: (folder / "metrics.py").write_text("# coding: latin-1\n"),
            r"^metrics\.py declares the encoding latin-1",
        ),
        (
            lambda folder: (folder / "metrics.py").write_text("x = " + "-" * 100_000 + "1"),
            r"^metrics\.py cannot be compiled: it is nested too deeply$",
        ),
        (
            lambda folder: ((folder / "metrics.py").unlink(), (folder / "metrics.py").mkdir()),
            r"^cannot read .*metrics\.py: Is a directory$",
        ),
    ],
)
def test_what_cannot_be_graded_is_not_packed(
    tmp_path: Path, session: Session, folder: Path, spoil: Callable[[Path], Any], message: str
) -> None:
    spoil(folder)
    with pytest.raises(SubmissionError, match=message):
        pack(session, folder, tmp_path / "out", "ada")
    assert not (tmp_path / "out").exists()


def test_odd_but_legal_source_is_packed(tmp_path: Path, session: Session, folder: Path) -> None:
    """What the compiler warns about is no reason to refuse, nor to warn the reader."""
    (folder / "metrics.py").write_text("x = '\\d'\ny = 1 is 1\n")
    assert pack(session, folder, tmp_path, "ada").warnings == ()


@pytest.mark.parametrize("student", ["", " ", "..", "\x1b[0m", "\u200e"])
def test_a_student_without_a_name(
    tmp_path: Path, session: Session, folder: Path, student: str
) -> None:
    with pytest.raises(SubmissionError, match="name is empty"):
        pack(session, folder, tmp_path, student)


@pytest.mark.parametrize("student", ["../eve", "a/b", "C:\\x", "ev\u202ee\n"])
def test_names_stay_in_the_folder(
    tmp_path: Path, session: Session, folder: Path, student: str
) -> None:
    path = pack(session, folder, tmp_path / "out", student).path
    assert path.parent == tmp_path / "out"
    assert path.name.isprintable()


def test_an_unwritable_folder(tmp_path: Path, session: Session, folder: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SubmissionError, match=r"cannot write .*ada_s1\.zip: "):
        pack(session, folder, tmp_path / "out", "ada")


def test_nothing_is_left_of_a_failed_write(
    tmp_path: Path, session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Path, target: Path) -> Path:
        del self, target
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(SubmissionError, match="No space left on device"):
        pack(session, folder, tmp_path / "out", "ada")
    assert os.listdir(tmp_path / "out") == []  # noqa: PTH208


# ---- the manifest ----------------------------------------------------------------------------

FILES = {"metrics.py": b"x = 1\n", "training.py": b"y = 2\n"}


def edited(**changes: object) -> bytes:
    content = json.loads(write_manifest("s1", "0.1", FILES, NOW))
    return json.dumps({**content, **changes}).encode()


def rows(*pairs: tuple[object, object]) -> list[dict[str, object]]:
    return [{"name": name, "sha256": digest} for name, digest in pairs]


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_honest_manifest_verifies() -> None:
    assert verify_manifest(write_manifest("s1", "0.1", FILES, NOW), "s1", FILES) == ()
    assert verify_manifest(edited(anything="else"), "s1", FILES) == ()


GOOD = ("training.py", sha(b"y = 2\n"))


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (b"", "manifest.json is not readable"),
        (b"{", "manifest.json is not readable"),
        (b"\xff\xfe\xff", "manifest.json is not readable"),
        (b"[" * 100_000, "manifest.json is not readable"),
        (b"9" * 5000, "manifest.json is not readable"),
        (b"[]", "manifest.json has an unknown schema"),
        (edited(schema_version=2), "manifest.json has an unknown schema"),
        (edited(session="s2"), "manifest.json was packed for 's2', not for 's1'"),
        (edited(session=7), "manifest.json was packed for no session, not for 's1'"),
        (edited(session="s\u001b[1m\n2"), "manifest.json was packed for 's 2', not for 's1'"),
        (edited(files=None), "manifest.json lists no files"),
        (edited(files=[1]), "manifest.json lists no files"),
        (edited(files=rows((1, "x"))), "manifest.json lists no files"),
        (edited(files=rows(("metrics.py", 5))), "manifest.json lists no files"),
        (edited(files=rows(GOOD)), "'metrics.py' is not in manifest.json"),
        (
            edited(files=rows(GOOD, ("metrics.py", "0"))),
            "'metrics.py' is not the file that manifest.json describes",
        ),
        (
            edited(files=rows(GOOD, ("metrics.py", sha(b"x = 1\n")), ("../x.py", "0"))),
            "'../x.py' is in manifest.json but not in the submission",
        ),
    ],
)
def test_every_mismatch_is_a_line(manifest: bytes, problem: str) -> None:
    assert verify_manifest(manifest, "s1", FILES) == (problem,)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schema_version", "session", "files", "name", "sha256"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.binary(max_size=50) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_manifest_raises(manifest: bytes) -> None:
    for line in verify_manifest(manifest, "s1", FILES):
        assert "\n" not in line


def test_an_edited_archive_is_noticed_and_still_graded(
    tmp_path: Path, session: Session, folder: Path
) -> None:
    source = pack(session, folder, tmp_path, "ada", NOW).path
    target = tmp_path / "bob.zip"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"x = 9\n" if name == "metrics.py" else old.read(name))
    submission = read_submission(target, session, LIMITS)
    assert submission.problems == ("'metrics.py' is not the file that manifest.json describes",)
    assert dict(submission.files)["metrics.py"] == b"x = 9\n"
    assert submission.student == "bob"


def test_the_manifest_says_neither_who_nor_when(
    tmp_path: Path, session: Session, folder: Path
) -> None:
    submission = read_submission(pack(session, folder, tmp_path, "ada", NOW).path, session, LIMITS)
    assert submission.submitted_at is None


def test_a_manifest_with_endless_names_gives_few_lines(tmp_path: Path, session: Session) -> None:
    files = [{"name": f"{i}.py", "sha256": "0"} for i in range(5000)]
    with zipfile.ZipFile(tmp_path / "eve.zip", "w") as archive:
        archive.writestr("metrics.py", METRICS)
        archive.writestr("training.py", METRICS)
        archive.writestr("manifest.json", edited(files=files))
    assert len(read_submission(tmp_path / "eve.zip", session, LIMITS).problems) == 21


def test_an_oversized_manifest_is_a_line(tmp_path: Path, session: Session) -> None:
    with zipfile.ZipFile(tmp_path / "eve.zip", "w") as archive:
        archive.writestr("metrics.py", METRICS)
        archive.writestr("training.py", METRICS)
        archive.writestr("manifest.json", b" " * 1_000_001)
    submission = read_submission(tmp_path / "eve.zip", session, LIMITS)
    assert submission.problems == ("manifest.json is not readable",)
