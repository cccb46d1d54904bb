"""The zip reader agrees with the standard library on honest archives and refuses the rest."""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.archive import archive_suffix, read_archive
from autograder.submissions.members import MAX_DEPTH, MAX_PATH, MAX_SOURCE_BYTES, UnsafeArchive
from autograder.submissions.zip_format import read_zip

LIMITS = ArchiveLimits(max_files=50, max_bytes=4_000_000, max_ratio=100.0)
MAX_SIZES = dict.fromkeys(("metrics.py", "manifest.json"), MAX_SOURCE_BYTES)
SOURCE = b"def sparsity(tensor):\n    return 0.0\n"


def read(
    tmp_path: Path, name: str, data: bytes, limits: ArchiveLimits = LIMITS
) -> dict[str, bytes | None]:
    """Names and kept contents of an archive file."""
    path = tmp_path / name
    path.write_bytes(data)
    return {m.path: m.data for m in read_archive(str(path), limits, MAX_SIZES)}


def zip_members(data: bytes, limits: ArchiveLimits = LIMITS) -> dict[str, bytes | None]:
    return {m.path: m.data for m in read_zip(memoryview(data), limits, MAX_SIZES)}


def refusal(action: Callable[[], object]) -> SubmissionError:
    with pytest.raises(SubmissionError) as caught:
        action()
    text = str(caught.value)
    assert text.isprintable()
    assert 0 < len(text) < 300
    return caught.value


# ---- zip archives by hand --------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One zip member; what is None follows from the rest."""

    name: bytes = b"metrics.py"
    data: bytes = SOURCE
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    disk: int = 0
    local_name: bytes | None = None
    local_flags: int | None = None
    local_method: int | None = None
    local_size: int | None = None
    packed: bytes | None = None
    size: int | None = None
    crc: int | None = None
    central_packed: int | None = None
    central_offset: int | None = None
    descriptor: bytes = b""
    extra: bytes = b""


def deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return engine.compress(data) + engine.flush()


def build_zip(
    entries: Iterable[Entry],
    *,
    front: bytes = b"",
    before_directory: bytes = b"",
    after_directory: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    disks: tuple[int, int] = (0, 0),
) -> bytes:
    body, directory, number = bytearray(front), bytearray(), 0
    for e in entries:
        packed = e.packed
        if packed is None:
            packed = deflate(e.data) if e.method == 8 else e.data
        crc = zlib.crc32(e.data) if e.crc is None else e.crc
        size = len(e.data) if e.size is None else e.size
        packed_size = len(packed) if e.central_packed is None else e.central_packed
        local_size = size if e.local_size is None else e.local_size
        flags = e.flags if e.local_flags is None else e.local_flags
        method = e.method if e.local_method is None else e.local_method
        local_name = e.name if e.local_name is None else e.local_name
        offset = len(body) if e.central_offset is None else e.central_offset
        sizes = (0, 0, 0) if flags & 8 else (crc, packed_size, local_size)
        body += (
            struct.pack(
                "<4s5H3L2H",
                b"PK\3\4",
                20,
                flags,
                method,
                0,
                33,
                *sizes,
                len(local_name),
                len(e.extra),
            )
            + local_name
            + e.extra
        )
        body += packed + e.descriptor
        directory += (
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\1\2",
                0x0314,
                20,
                e.flags,
                e.method,
                0,
                33,
                crc,
                packed_size,
                size,
                len(e.name),
                0,
                0,
                e.disk,
                0,
                e.mode << 16,
                offset,
            )
            + e.name
        )
        number += 1
    body += before_directory
    start = len(body)
    number = number if count is None else count
    end = struct.pack(
        "<4s4H2LH", b"PK\5\6", *disks, number, number, len(directory), start, len(comment)
    )
    return bytes(body + directory + after_directory + end + comment)


def descriptor(entry: Entry, layout: str, signed: bool) -> bytes:
    packed = deflate(entry.data)
    values = (zlib.crc32(entry.data), len(packed), len(entry.data))
    return (b"PK\7\x08" if signed else b"") + struct.pack(layout, *values)


HOSTILE_ZIPS: dict[str, tuple[bytes, str, bool]] = {
    "not a zip": (b"hello" * 100, "not a zip archive", False),
    "cut off": (build_zip([Entry()])[:-1], "not a zip archive", False),
    "empty archive": (build_zip([]), "empty", False),
    "parent": (build_zip([Entry(name=b"../metrics.py")]), "leaves the archive", True),
    "parent inside": (build_zip([Entry(name=b"a/../../x.py")]), "leaves the archive", True),
    "absolute": (build_zip([Entry(name=b"/etc/passwd")]), "absolute", True),
    "drive": (build_zip([Entry(name=b"C:/metrics.py")]), "drive letter", True),
    "drive relative": (build_zip([Entry(name=b"c:metrics.py")]), "drive letter", True),
    "hidden drive": (build_zip([Entry(name=b"./C:/metrics.py")]), "drive letter", True),
    "backslash": (build_zip([Entry(name=b"..\\metrics.py")]), "leaves the archive", True),
    "NUL": (build_zip([Entry(name=b"metrics.py\0.txt")]), "control character", True),
    "escape": (build_zip([Entry(name=b"\x1b[31mred.py")]), "control character", True),
    "newline": (build_zip([Entry(name=b"a\nb.py")]), "control character", True),
    "bidi": (build_zip([Entry(name="a\u202eyp.py".encode())]), "control character", True),
    "no name": (build_zip([Entry(name=b"")]), "no name", False),
    "empty part": (build_zip([Entry(name=b"a//metrics.py")]), "empty part", False),
    "dot part": (build_zip([Entry(name=b"a/./metrics.py")]), "empty part", False),
    "bad UTF-8": (build_zip([Entry(name=b"\xff.py", flags=0x800)]), "not UTF-8", False),
    "long name": (build_zip([Entry(name=b"x" * (MAX_PATH + 1))]), "longer than", False),
    "deep": (build_zip([Entry(name=b"a/" * MAX_DEPTH + b"x.py")]), "folders deep", False),
    "symbolic link": (build_zip([Entry(mode=0o120777, data=b"/etc/passwd")]), "symbolic", True),
    "device": (build_zip([Entry(mode=0o020666)]), "special file", True),
    "FIFO": (build_zip([Entry(mode=0o010666)]), "special file", True),
    "duplicate": (build_zip([Entry(), Entry(data=b"x = 2\n")]), "occurs twice", False),
    "case": (build_zip([Entry(), Entry(name=b"Metrics.py")]), "differ in case", False),
    "case of a folder": (
        build_zip([Entry(name=b"A/x.py"), Entry(name=b"a/y.py")]), "differ in case", False,
    ),
    "Unicode form": (
        build_zip([Entry(name="\u00e9.py".encode()), Entry(name="e\u0301.py".encode())]),
        "differ in case or form", False,
    ),
    "file and folder": (
        build_zip([Entry(name=b"a"), Entry(name=b"a/x.py")]), "both a file and a folder", False,
    ),
    "folder and file": (
        build_zip([Entry(name=b"a/x.py"), Entry(name=b"a")]), "both a file and a folder", False,
    ),
    "folder with content": (build_zip([Entry(name=b"a/")]), "folder with content", True),
    "folder that hides data": (
        build_zip([Entry(name=b"a/", data=b"", method=0, packed=b"hidden")]), "larger than", True,
    ),
    "encrypted": (build_zip([Entry(flags=1)]), "encrypted", False),
    "encrypted locally": (build_zip([Entry(local_flags=1)]), "encrypted", False),
    "AES": (build_zip([Entry(flags=1, method=99)]), "encrypted", False),
    "method": (build_zip([Entry(method=12, packed=b"x")]), "unsupported way", False),
    "patch": (build_zip([Entry(flags=0x20)]), "unsupported way", False),
    "disk of a member": (build_zip([Entry(disk=1)]), "several parts", False),
    "disk of the archive": (build_zip([Entry()], disks=(1, 0)), "several parts", False),
    "zip64": (build_zip([Entry()], count=0xFFFF), "zip64", False),
    "zip64 member": (
        build_zip([Entry(central_offset=0xFFFFFFFF)]), "zip64", False,
    ),
    "too few counted": (build_zip([Entry(), Entry(name=b"b")], count=1), "not as long as", True),
    "too many counted": (build_zip([Entry()], count=2), "directory is damaged", False),
    "many counted": (build_zip([Entry()], count=60_000), "directory is damaged", False),
    "10,000 files": (
        build_zip(Entry(name=b"%d" % i, data=b"", method=0) for i in range(10_000)),
        "more than 50 files", False,
    ),
    "data in front": (
        build_zip([Entry()], front=b"#!/bin/sh\n"), "in front of its first member", True,
    ),
    "offsets from elsewhere": (
        b"junk" + build_zip([Entry()]), "not where its end record says", True,
    ),
    "gap": (build_zip([Entry()], before_directory=b"x"), "belongs to no member", True),
    "gap between": (build_zip([Entry(descriptor=b"x"), Entry(name=b"b")]), "no member", True),
    "gap after the directory": (
        build_zip([Entry()], after_directory=b"x"), "not where its end record says", True,
    ),
    "wrong descriptor": (
        build_zip([Entry(flags=8, descriptor=b"PK\7\x08" + bytes(12))]), "no member", True,
    ),
    "two end records": (
        build_zip([Entry()], comment=build_zip([Entry(data=b"other")])), "two end records", True,
    ),
    "local name": (build_zip([Entry(local_name=b"metrics.px")]), "two headers", True),
    "local method": (build_zip([Entry(local_method=0)]), "two headers", True),
    "local size": (build_zip([Entry(local_size=3)]), "two headers", True),
    "says less": (build_zip([Entry(size=5)]), "larger than the archive says", True),
    "says more": (build_zip([Entry(size=500)]), "smaller than the archive says", True),
    "stored, says less": (
        build_zip([Entry(method=0, size=5)]), "larger than the archive says", True,
    ),
    "checksum": (build_zip([Entry(crc=1)]), "wrong checksum", False),
    "broken stream": (build_zip([Entry(packed=b"\xff" * 40)]), "is damaged", False),
    "stream cut off": (build_zip([Entry(packed=deflate(SOURCE)[:-4])]), "cut off", False),
    "empty stream": (build_zip([Entry(packed=b"")]), "cut off", False),
    "data behind the stream": (
        build_zip([Entry(packed=deflate(SOURCE) + b"more")]), "no member", True,
    ),
    "two members in one place": (
        build_zip([Entry(), Entry(name=b"other.py", central_offset=0)]), "overlaps", True,
    ),
    "reaches into the next": (
        build_zip([replace(Entry(), central_packed=60), Entry(name=b"b")]), "overlaps", True,
    ),
    "points into the directory": (
        build_zip([Entry(), Entry(name=b"b", central_offset=100_000)]), "no member", True,
    ),
    "local signature": (b"QK" + build_zip([Entry()])[2:], "header of 'metrics.py'", False),
    "central signature": (
        build_zip([Entry()]).replace(b"PK\1\2", b"PK\1\3"), "directory is damaged", False,
    ),
    "central name cut off": (
        build_zip([Entry(name=b"n" * 9)]).replace(b"\x09\0\0\0\0\0\0\0", b"\x0a" + bytes(7)),
        "not as long as", True,
    ),
    "declared total": (build_zip([Entry(size=1 << 30)]), "100 times its size", True),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_ZIPS)
def test_zip_is_refused(case: str) -> None:
    data, message, is_unsafe = HOSTILE_ZIPS[case]
    error = refusal(lambda: zip_members(data))
    assert message in str(error)
    assert isinstance(error, UnsafeArchive) == is_unsafe


def test_quoted_overlap_bomb() -> None:
    """Fifield's construction: each file's stream quotes the next header, sharing one kernel."""
    kernel = deflate(bytes(1_000_000))
    names = [b"%02d" % i for i in range(10)]
    body, offsets, crc, size = b"", [], zlib.crc32(bytes(1_000_000)), 1_000_000
    tail = kernel
    for name in reversed(names):
        header = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, crc, len(tail), size, 2, 0)
        tail = struct.pack("<BHH", 0, 30 + 2, 0xFFFF ^ 32) + header + name + tail
        offsets.append(len(tail))
    body = tail[5:]
    offsets = [len(tail) - offset for offset in reversed(offsets)]
    directory = b"".join(
        struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, crc,
                    len(body) - offset - 32, size, 2, 0, 0, 0, 0, 0, offset) + name
        for name, offset in zip(names, offsets, strict=True)
    )  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 10, 10, len(directory), len(body), 0)
    generous = ArchiveLimits(max_files=50, max_bytes=10**9, max_ratio=1e9)
    error = refusal(lambda: zip_members(body + directory + end, generous))
    assert "overlaps" in str(error)


@pytest.mark.parametrize("layout", ["<LLL", "<LQQ"])
@pytest.mark.parametrize("signed", [True, False])
def test_data_descriptors_are_understood(layout: str, signed: bool) -> None:
    entry = replace(Entry(flags=8), descriptor=descriptor(Entry(), layout, signed))
    assert zip_members(build_zip([entry, Entry(name=b"b")])) == {"metrics.py": SOURCE, "b": None}


def test_accepted_oddities() -> None:
    """What ordinary tools write: a comment, folders, ./, names without the UTF-8 flag."""
    data = build_zip(
        [
            Entry(name=b"./", data=b"", method=0, mode=0o040755),
            Entry(name=b"work/", data=b"", method=8, mode=0o040755),
            Entry(name=b"work/metrics.py", local_size=0xFFFFFFFF),
            Entry(name="gr\u00fc\u00df.txt".encode()),
            Entry(name=b"\x81.txt"),
            Entry(name=b"inner.zip", data=build_zip([Entry()]), method=0),
        ],
        comment=b"commit 0123",
    )
    others = ["gr\u00fc\u00df.txt", "\u00fc.txt", "inner.zip"]
    assert zip_members(data) == {"work/metrics.py": SOURCE, **dict.fromkeys(others)}


def test_large_listed_files_are_not_kept() -> None:
    large = Entry(data=os.urandom(MAX_SOURCE_BYTES + 1), method=0)
    entries = [large, Entry(name=b"a/b/metrics.py"), Entry(name=b"a/metrics.py")]
    actual = zip_members(build_zip(entries))
    assert actual == {"metrics.py": None, "a/b/metrics.py": SOURCE, "a/metrics.py": SOURCE}


# ---- files on disk ---------------------------------------------------------------------------


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.zip", "a.ZIP"])
def test_a_zip_is_read(tmp_path: Path, name: str) -> None:
    files = {"work/metrics.py": SOURCE, "work/notes.txt": os.urandom(100_000)}
    actual = read(tmp_path, name, zip_of(files))
    assert actual == {"work/metrics.py": SOURCE, "work/notes.txt": None}


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = zip_of({"metrics.py": SOURCE, "b.txt": os.urandom(300)})
    for length in range(0, len(data), 7):
        refusal(partial(read, tmp_path, "a.zip", data[:length]))


OTHER_FORMATS = ["a.tar", "a.tar.gz", "a.tgz", "a.tar.xz", "a.rar", "a.7z", "a.gz", "a.tar.bz2"]


@pytest.mark.parametrize("name", [*OTHER_FORMATS, "a.txt"])
def test_other_formats_are_refused_unread(tmp_path: Path, name: str) -> None:
    """Whatever is in it: the name decides, and not even an honest zip is looked for."""
    for data in (b"", zip_of({"metrics.py": SOURCE})):
        error = refusal(partial(read, tmp_path, name, data))
        assert str(error) == "is not a zip; pack it as .zip"
        assert not isinstance(error, UnsafeArchive)


def test_empty_file(tmp_path: Path) -> None:
    assert "empty" in str(refusal(lambda: read(tmp_path, "a.zip", b"")))


def test_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    error = refusal(lambda: read_archive(str(path), LIMITS, MAX_SIZES))
    assert "larger than 256,000,000 bytes" in str(error)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        *((name, name[1:]) for name in OTHER_FORMATS),
        ("B.Zip", ".Zip"),
        ("a.b.tar", ".tar"),
        (".zip", ""),
        ("zip", ""),
        ("a.zip.txt", ""),
    ],
)
def test_archive_suffix(name: str, suffix: str) -> None:
    assert archive_suffix(name) == suffix


# ---- bombs -----------------------------------------------------------------------------------


ZEROS = bytes(3_000_000)


def test_ratio_bomb() -> None:
    assert "100 times its size" in str(refusal(lambda: zip_members(zip_of({"metrics.py": ZEROS}))))


def test_small_files_may_compress_well() -> None:
    assert zip_members(zip_of({"zeros.npy": bytes(900_000)}))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_total_size(method: int) -> None:
    limits = ArchiveLimits(max_files=50, max_bytes=100_000, max_ratio=1e9)
    data = zip_of({"a": bytes(60_000), "b": bytes(60_000)}, method)
    assert "100,000 bytes" in str(refusal(lambda: zip_members(data, limits)))


@pytest.mark.parametrize("ratio", [100.0, 1e9])
def test_bombs_take_no_memory(tmp_path: Path, ratio: float) -> None:
    """50 MB of zeros, whose size the zip denies, within the cap of 4 MB and some buffers."""
    data = build_zip([Entry(data=bytes(50_000_000), size=1000, local_size=1000)])
    limits = ArchiveLimits(max_files=50, max_bytes=4_000_000, max_ratio=ratio)
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(SubmissionError):
            read_archive(str(path), limits, MAX_SIZES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * limits.max_bytes


# ---- against the standard library ------------------------------------------------------------


names = st.lists(
    st.sampled_from(["metrics.py", "a", "b", "old", "\u00fcber", "x y.txt"]), min_size=1, max_size=3
).map("/".join)
file_sets = st.dictionaries(
    names, st.binary(max_size=2000) | st.integers(0, 200_000).map(lambda n: b"ab" * n), min_size=1
).filter(lambda files: not any(a != b and b.startswith(a + "/") for a in files for b in files))
generous = ArchiveLimits(max_files=1000, max_bytes=20_000_000, max_ratio=1e9)


def expected(files: dict[str, bytes]) -> dict[str, bytes | None]:
    def kept(name: str, data: bytes) -> bool:
        return name.split("/")[-1] in MAX_SIZES and len(data) <= MAX_SOURCE_BYTES

    return {name: data if kept(name, data) else None for name, data in files.items()}


@given(file_sets, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@settings(max_examples=60)
def test_reads_what_zipfile_writes(files: dict[str, bytes], method: int) -> None:
    assert zip_members(zip_of(files, method), generous) == expected(files)


def test_reads_an_unseekable_zip() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metrics.py", SOURCE)
        with archive.open("big.txt", "w", force_zip64=True) as file:
            file.write(b"text")
    assert zip_members(pipe.data) == {"metrics.py": SOURCE, "big.txt": None}


TOOLS = {
    "a.zip": ["zip", "-qr", "a.zip", "work"],
    "b.zip": ["sh", "-c", "zip -qr - work > b.zip"],
}


@pytest.mark.parametrize("name", TOOLS)
def test_reads_what_ordinary_tools_write(tmp_path: Path, name: str) -> None:
    if not shutil.which("zip"):
        pytest.skip("zip is not installed")
    (tmp_path / "work" / "empty").mkdir(parents=True)
    (tmp_path / "work" / "metrics.py").write_bytes(SOURCE)
    subprocess.run(TOOLS[name], cwd=tmp_path, check=True)
    actual = read_archive(str(tmp_path / name), LIMITS, MAX_SIZES)
    assert [(m.path, m.data) for m in actual] == [("work/metrics.py", SOURCE)]


# ---- fuzzing ---------------------------------------------------------------------------------


SAMPLE_FILES = {
    "metrics.py": SOURCE,
    "work/metrics.py": b"x = 1\n" * 50,
    "n" * 120 + ".txt": b"y" * 700,
    "empty": b"",
}
SAMPLES = [
    zip_of(SAMPLE_FILES),
    zip_of(SAMPLE_FILES, zipfile.ZIP_STORED),
    build_zip([Entry(flags=8, descriptor=descriptor(Entry(), "<LLL", True)), Entry(name=b"b/c")]),
]
INTERESTING = st.sampled_from(
    [b"\0", b"\xff", b"\xff" * 4, b"PK\1\2", b"PK\3\4", b"PK\5\6", b"../"]
)


def test_samples_are_accepted() -> None:
    for data in SAMPLES:
        assert zip_members(data)["metrics.py"] == SOURCE


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        count = draw(st.integers(0, 40))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                piece = draw(INTERESTING)
                data[at : at + len(piece)] = piece
            case 2:
                del data[at : at + count]
            case 3:
                data[at:at] = draw(INTERESTING | st.binary(max_size=20))
            case 4:
                other = draw(st.integers(0, len(data)))
                data[at : at + count] = data[other : other + count]
    return bytes(data)


@given(mutated())
@settings(max_examples=400)
def test_fuzzed_archives_are_read_or_refused(data: bytes) -> None:
    message, paths = "read", []
    try:
        paths = list(zip_members(data))
    except SubmissionError as error:
        message = str(error)
    assert message.isprintable()
    assert len(paths) <= LIMITS.max_files
    assert not any(re.search(r"(^|/)\.\.(/|$)|^/|\\|[\x00-\x1f]", path) for path in paths)


@given(mutated())
@settings(max_examples=300)
def test_what_is_accepted_reads_alike_elsewhere(data: bytes) -> None:
    """A zip that both readers accept means the same to both."""
    try:
        ours = zip_members(data, generous)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            theirs = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    except (SubmissionError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return
    normal = {name.removeprefix("./"): data for name, data in theirs.items()}
    assert {name: normal.get(name) for name, data in ours.items() if data is not None} == {
        name: data for name, data in ours.items() if data is not None
    }
    assert len(ours) == len(theirs)
