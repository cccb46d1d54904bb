"""Classes as platforms hand them over, written to disk or into a zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from autograder.course import ArchiveLimits, CourseExercise, Module, Session

METRICS = b"def sparsity(tensor):\n    return 0.0\n"
CODING = b"def entropy(values):\n    return 0.0\n"
BOTH = {"deep_compression.py": METRICS, "coding.py": CODING}
LIMITS = ArchiveLimits(max_files=60, max_bytes=5_000_000, max_ratio=100.0)

Files = Mapping[str, bytes]


def session_of(folder: str, exercises: Mapping[str, str]) -> Session:
    """A session with one exercise in each module: ids by file."""
    modules = tuple(
        Module(file=file, exercises=(CourseExercise(id=exercise, title="x", points=50.0),))
        for file, exercise in exercises.items()
    )
    return Session(id=folder.partition("_")[0], folder=folder, title=folder, modules=modules)


def session() -> Session:
    """A session with two modules."""
    exercises = {"deep_compression.py": "s3.sparsity", "coding.py": "s3.entropy"}
    return session_of("s3_weight_clustering", exercises)


def put(root: Path, files: Files) -> Path:
    """Write files below a folder."""
    root.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def zipped(files: Files) -> bytes:
    """A zip of files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def unflagged(data: bytes) -> bytes:
    """The zip as macOS writes it: names in UTF-8, of which no flag speaks."""
    changed = bytearray(data)
    for signature, flags in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        at = changed.find(signature)
        while at >= 0:
            changed[at + flags] &= ~0x08
            at = changed.find(signature, at + 1)
    return bytes(changed)


def under(folder: str, files: Files = BOTH) -> dict[str, bytes]:
    """The same files below a folder."""
    return {f"{folder}/{name}": data for name, data in files.items()}


def marked(text: str) -> dict[str, bytes]:
    """Both modules, with a comment that tells them from others."""
    return {name: data + f"# {text}\n".encode() for name, data in BOTH.items()}


# ---- platforms -----------------------------------------------------------------------------------


def moodle(folder_end: str = "_") -> dict[str, bytes]:
    """Ada's folder, Bob's zip, Софья's files deeper, one with online text only; two namesakes."""
    end = f"assignsubmission_file{folder_end}"
    return {
        **under(f"Ada Lovelace_101_{end}"),
        "Ada Lovelace_101_assignsubmission_onlinetext_/onlinetext.html": b"<p>see zip</p>",
        f"Bob O'Hara_102_{end}/bob_s3.zip": zipped({**marked("bob"), "manifest.txt": b""}),
        **under(f"Софья Ковалевская_103_{end}/homework/s3_weight_clustering", marked("sofia")),
        "Dan Text_104_assignsubmission_onlinetext_/onlinetext.html": b"<p>late, sorry</p>",
        **under(f"Kim Lee_105_{end}", marked("one")),
        **under(f"Kim Lee_106_{end}", marked("two")),
    }


def moodle_flat() -> dict[str, bytes]:
    """The same choice without folders."""
    ada = {f"Ada Lovelace_101_assignsubmission_file_{n}": d for n, d in BOTH.items()}
    return {
        **ada,
        "Ada Lovelace_101_assignsubmission_onlinetext_onlinetext.html": b"<p></p>",
        "Bob O'Hara_102_assignsubmission_file_bob_s3.zip": zipped(marked("bob")),
    }


def canvas() -> dict[str, bytes]:
    """Loose files with second uploads, an archive, a late one, a link only, an anonymous one."""
    return {
        "lovelaceada_11_901_deep_compression.py": METRICS,
        "lovelaceada_11_902_coding.py": b"old = 1\n",
        "lovelaceada_11_903_coding-1.py": b"newer = 1\n",
        "lovelaceada_11_904_coding-2.py": CODING,
        "ohara_LATE_12_905_bob_s3.zip": zipped(marked("bob")),
        "ковалевскаясофья_13_906_coding.py": CODING,
        "ковалевскаясофья_13_907_deep_compression.py": METRICS,
        "link_14_link.html": b"<a>",
        "LATE_anon_x7Gh2_908_s3.zip": zipped(marked("anonymous")),
    }


GRADESCOPE_METADATA = """---
submission_501:
  :submitters:
  - :name: Ada Lovelace
    :sid: '1815'
    :email: ada@example.org
  :created_at: 2027-01-25 21:30:00.123456789 Z
  :score: 0.0
  :status: processed
  :history:
  - :id: 499
    :created_at: 2027-01-24 20:00:00.000000000 Z
submission_502:
  :submitters:
  - :name: Bob O'Hara
    :sid: '1816'
    :email: bob@example.org
  - :name: Софья Ковалевская
    :email: sofia@example.org
  :created_at: 2027-01-26 09:00:00.5 +01:00
"""


def gradescope(metadata: str = GRADESCOPE_METADATA) -> dict[str, bytes]:
    """One alone, and a group of two."""
    return {
        "submission_metadata.yml": metadata.encode(),
        **under("submission_501"),
        **under("submission_502/s3", marked("group")),
    }


def nbgrader() -> dict[str, bytes]:
    """A course folder in which one of two students has handed in this assignment."""
    return {
        **under("submitted/ada/s3"),
        "submitted/ada/s3/timestamp.txt": b"2027-01-25 21:30:00.123456 UTC",
        "submitted/ada/s1/timestamp.txt": b"2027-01-05 21:30:00 UTC",
        **under("submitted/bob/s3", marked("bob")),
        "submitted/bob/s3/timestamp.txt": b"2027-01-25 23:30:00 Europe/Zurich",
        "submitted/cleo/s1/timestamp.txt": b"2027-01-05 21:30:00 UTC",
        "source/s3/lab.ipynb": b"{}",
    }


def clones(prefix: str = "s3-clustering-") -> dict[str, bytes]:
    """Two clones, as a loop of `git clone` leaves them."""
    return {
        f"{prefix}ada/.git/HEAD": b"ref: refs/heads/main\n",
        **under(f"{prefix}ada/assignments/s3_weight_clustering"),
        f"{prefix}bob/.git/HEAD": b"ref: refs/heads/main\n",
        **under(f"{prefix}bob", marked("bob")),
    }
