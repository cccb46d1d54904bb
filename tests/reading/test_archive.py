"""The archive readers agree with the standard library on honest archives and refuse the rest."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
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
from autograder.submissions.tar_format import read_tar
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


def tar_members(data: bytes, limits: ArchiveLimits = LIMITS) -> dict[str, bytes | None]:
    return {m.path: m.data for m in read_tar(iter([data]), len(data), limits, MAX_SIZES)}


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
    directory_shift: int = 0,
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
    start = len(body) + directory_shift
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
    "backslash": (build_zip([Entry(name=b"..\\metrics.py")]), "backslash", False),
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
    "many counted": (build_zip([Entry()], count=60_000), "more than 50 files", False),
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


def test_large_and_deep_listed_files_are_not_kept() -> None:
    large = Entry(data=os.urandom(MAX_SOURCE_BYTES + 1), method=0)
    entries = [large, Entry(name=b"a/b/metrics.py"), Entry(name=b"a/metrics.py")]
    found = zip_members(build_zip(entries))
    assert found == {"metrics.py": None, "a/b/metrics.py": None, "a/metrics.py": SOURCE}


# ---- tar archives by hand --------------------------------------------------------------------


def header(
    name: bytes = b"metrics.py",
    size: int = len(SOURCE),
    kind: bytes = b"0",
    *,
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    size_field: bytes | None = None,
) -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108] = b"0000644\0"
    block[124:136] = b"%011o\0" % size if size_field is None else size_field
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = magic
    block[345 : 345 + len(prefix)] = prefix
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)
PLAIN = header() + padded(SOURCE)


def pax(*records: tuple[str, bytes], kind: bytes = b"x") -> bytes:
    lines = b""
    for key, value in records:
        rest = b" " + key.encode() + b"=" + value + b"\n"
        length = len(rest) + 1
        while len(b"%d" % length) + len(rest) != length:
            length += 1
        lines += b"%d" % length + rest
    return raw_pax(lines, kind)


def raw_pax(content: bytes, kind: bytes = b"x") -> bytes:
    return header(b"pax", len(content), kind) + padded(content)


def named(name: bytes) -> bytes:
    return header(name) + padded(SOURCE)


HOSTILE_TARS: dict[str, tuple[bytes, str, bool]] = {
    "not a tar": (b"hello world!" * 100, "not a tar archive", False),
    "checksum": (PLAIN.replace(b"0000644", b"0000777") + END, "not a tar archive", False),
    "short": (b"hello", "cut off", False),
    "no end": (PLAIN, "cut off", False),
    "half an end": (PLAIN + bytes(512), "cut off", False),
    "member cut off": (header(size=5000) + SOURCE, "cut off", False),
    "nothing": (END, "empty", False),
    "behind the end": (PLAIN + END + PLAIN + END, "behind its end", True),
    "parent": (named(b"../metrics.py") + END, "leaves the archive", True),
    "absolute": (named(b"/metrics.py") + END, "absolute", True),
    "prefix": (header(prefix=b"../up") + padded(SOURCE) + END, "leaves the archive", True),
    "hard link": (header(kind=b"1", size=0) + END, "hard link", True),
    "symbolic link": (header(kind=b"2", size=0) + END, "symbolic link", True),
    "character device": (header(kind=b"3", size=0) + END, "special file", True),
    "block device": (header(kind=b"4", size=0) + END, "special file", True),
    "FIFO": (header(kind=b"6", size=0) + END, "special file", True),
    "sparse": (header(kind=b"S") + padded(SOURCE) + END, "sparse", True),
    "long link": (header(kind=b"K") + padded(SOURCE) + END, "a link", True),
    "unknown kind": (header(kind=b"Z") + padded(SOURCE) + END, "unsupported kind", False),
    "folder with content": (header(b"a", kind=b"5") + padded(SOURCE) + END, "content", True),
    "file like a folder": (named(b"a/") + END, "folder with content", True),
    "duplicate": (PLAIN + PLAIN + END, "occurs twice", False),
    "case": (PLAIN + named(b"METRICS.PY") + END, "differ in case", False),
    "bad UTF-8": (named(b"\xff.py") + END, "not UTF-8", False),
    "base 256": (
        header(size_field=b"\x80" + bytes(10) + b"\x05") + padded(SOURCE) + END, "damaged", False,
    ),
    "negative size": (header(size_field=b"\xff" * 12) + END, "damaged", False),
    "signed size": (header(size_field=b"-0000000010\0") + END, "damaged", False),
    "blank size": (header(size_field=b" " * 12) + END, "damaged", False),
    "huge size": (header(size_field=b"7" * 11 + b"\0") + END, "cut off", False),
    "pax parent": (pax(("path", b"../up.py")) + PLAIN + END, "leaves the archive", True),
    "pax NUL": (pax(("path", b"metrics.py\0x")) + PLAIN + END, "control character", True),
    "pax bad UTF-8": (pax(("path", b"\xff")) + PLAIN + END, "not UTF-8", False),
    "pax size": (pax(("size", b"1")) + PLAIN + END, "changes its size", True),
    "pax sparse": (pax(("GNU.sparse.major", b"1")) + PLAIN + END, "changes its size", True),
    "pax global name": (pax(("path", b"a"), kind=b"g") + PLAIN + END, "all members", True),
    "pax two names": (
        pax(("path", b"a")) + pax(("path", b"b")) + PLAIN + END, "two names", True,
    ),
    "pax and GNU name": (
        header(kind=b"L", size=2) + padded(b"b\0") + pax(("path", b"a")) + PLAIN + END,
        "two names", True,
    ),
    "pax dangling": (pax(("path", b"a")) + END, "cut off", False),
    "pax oversized": (header(kind=b"x", size=(1 << 20) + 1) + END, "oversized", True),
    "pax zero length": (raw_pax(b"0 a=b\n") + PLAIN + END, "header is damaged", False),
    "pax long length": (raw_pax(b"99 a=b\n") + PLAIN + END, "header is damaged", False),
    "pax no length": (raw_pax(b"path=b\n") + PLAIN + END, "header is damaged", False),
    "pax negative": (raw_pax(b"-6 a=b\n") + PLAIN + END, "header is damaged", False),
    "pax no equals": (raw_pax(b"5 ab\n") + PLAIN + END, "header is damaged", False),
    "5,000 files": (
        b"".join(header(b"%d" % i, 0) for i in range(5_000)) + END, "more than 50 files", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE_TARS)
def test_tar_is_refused(case: str) -> None:
    data, message, is_unsafe = HOSTILE_TARS[case]
    error = refusal(lambda: tar_members(data))
    assert message in str(error)
    assert isinstance(error, UnsafeArchive) == is_unsafe


def test_chained_extended_headers_do_not_recurse() -> None:
    data = pax(("comment", b"x")) * 3000 + PLAIN + END
    assert tar_members(data) == {"metrics.py": SOURCE}


def test_tar_oddities_are_accepted() -> None:
    data = (
        pax(("comment", b"0123"), kind=b"g")
        + header(b"./", 0, b"5")
        + header(b"old/", 0, b"\0", magic=bytes(8))
        + header(b"./metrics.py", kind=b"\0")
        + padded(SOURCE)
        + pax(("mtime", b"1.5"), ("path", "gr\u00fcn.txt".encode()))
        + PLAIN
        + header(b"a.txt", 0, magic=b"ustar  \0", prefix=b"../15000000000")
        + END
        + bytes(8192)
    )
    assert tar_members(data) == {"metrics.py": SOURCE, "gr\u00fcn.txt": None, "a.txt": None}


# ---- files on disk ---------------------------------------------------------------------------


def tar_of(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


PACKERS: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "a.zip": zip_of,
    "a.ZIP": zip_of,
    "a.tar": tar_of,
    "a.tar.gz": lambda files: gzip.compress(tar_of(files)),
    "a.tgz": lambda files: gzip.compress(tar_of(files)),
    "a.tar.xz": lambda files: lzma.compress(tar_of(files), preset=9),
}


@pytest.mark.parametrize("name", PACKERS)
def test_every_format_is_read(tmp_path: Path, name: str) -> None:
    files = {"work/metrics.py": SOURCE, "work/notes.txt": os.urandom(100_000)}
    found = read(tmp_path, name, PACKERS[name](files))
    assert found == {"work/metrics.py": SOURCE, "work/notes.txt": None}


@pytest.mark.parametrize("name", PACKERS)
def test_every_truncation_is_refused(tmp_path: Path, name: str) -> None:
    data = PACKERS[name]({"metrics.py": SOURCE, "b.txt": os.urandom(300)})
    if name == "a.tar":
        data = PLAIN + END  # tarfile appends more zeros than an archive needs
    for length in range(0, len(data), 7):
        refusal(partial(read, tmp_path, name, data[:length]))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.xz"])
def test_data_behind_a_compressed_stream_is_refused(tmp_path: Path, name: str) -> None:
    data = PACKERS[name]({"metrics.py": SOURCE})
    assert "no member" in str(refusal(lambda: read(tmp_path, name, data + data)))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.xz"])
def test_broken_compression_is_refused(tmp_path: Path, name: str) -> None:
    data = bytearray(PACKERS[name]({"metrics.py": SOURCE}))
    data[len(data) // 2] ^= 0xFF
    assert "damaged" in str(refusal(lambda: read(tmp_path, name, bytes(data))))


def test_xz_that_wants_a_gigabyte_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    small = lzma.compress(tar_of({"a": b"x"}), filters=filters)
    dictionary = small.index(b"\x21\x01") + 2
    block = bytearray(small)
    block[dictionary] = 36  # 1 GiB
    start, size = 12, (small[12] + 1) * 4
    block[start + size - 4 : start + size] = struct.pack(
        "<L", zlib.crc32(block[start : start + size - 4])
    )
    assert "too much memory" in str(refusal(lambda: read(tmp_path, "a.tar.xz", bytes(block))))


@pytest.mark.parametrize("name", ["a.rar", "a.7z", "a.gz", "a.tar.bz2", "a.txt"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    assert "use one of" in str(refusal(lambda: read(tmp_path, name, b"x")))


def test_empty_file(tmp_path: Path) -> None:
    assert "empty" in str(refusal(lambda: read(tmp_path, "a.zip", b"")))


def test_large_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.truncate(1 << 34)
    error = refusal(lambda: read_archive(str(path), LIMITS, MAX_SIZES))
    assert "larger than 4,000,000 bytes" in str(error)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("a.tar.gz", ".tar.gz"), ("B.Zip", ".Zip"), ("a.b.tar", ".tar"), (".zip", ""), ("zip", "")],
)
def test_archive_suffix(name: str, suffix: str) -> None:
    assert archive_suffix(name) == suffix


# ---- bombs -----------------------------------------------------------------------------------


ZEROS = bytes(3_000_000)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_ratio_bomb(tmp_path: Path, name: str) -> None:
    error = refusal(lambda: read(tmp_path, name, PACKERS[name]({"metrics.py": ZEROS})))
    assert "100 times its size" in str(error)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
def test_small_files_may_compress_well(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, name, PACKERS[name]({"zeros.npy": bytes(900_000)}))


@pytest.mark.parametrize("name", PACKERS)
def test_total_size(tmp_path: Path, name: str) -> None:
    limits = ArchiveLimits(max_files=50, max_bytes=100_000, max_ratio=1e9)
    data = PACKERS[name]({"a": bytes(60_000), "b": bytes(60_000)})
    error = refusal(lambda: read(tmp_path, name, data, limits))
    assert "100,000 bytes" in str(error)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.xz"])
@pytest.mark.parametrize("ratio", [100.0, 1e9])
def test_bombs_take_no_memory(tmp_path: Path, name: str, ratio: float) -> None:
    """50 MB of zeros, whose size the zip denies, within the cap of 4 MB and some buffers."""
    zeros = bytes(50_000_000)
    if name == "a.zip":
        data = build_zip([Entry(data=zeros, size=1000, local_size=1000)])
    elif name == "a.tar.gz":
        data = gzip.compress(header(size=len(zeros)) + zeros)
    else:
        data = lzma.compress(header(size=len(zeros)) + zeros, preset=0)
    del zeros
    limits = ArchiveLimits(max_files=50, max_bytes=4_000_000, max_ratio=ratio)
    path = tmp_path / name
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
        near = name in MAX_SIZES or (name.count("/") == 1 and name.split("/")[1] in MAX_SIZES)
        return near and len(data) <= MAX_SOURCE_BYTES

    return {name: data if kept(name, data) else None for name, data in files.items()}


@given(file_sets, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@settings(max_examples=60)
def test_reads_what_zipfile_writes(files: dict[str, bytes], method: int) -> None:
    assert zip_members(zip_of(files, method), generous) == expected(files)


@given(file_sets, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]), st.integers(2, 9))
@settings(max_examples=60)
def test_reads_what_tarfile_writes(files: dict[str, bytes], form: int, folders: int) -> None:
    lengthened = {f"{'folder of some length/' * folders}{n}": d for n, d in files.items()}
    assert tar_members(tar_of(files, form), generous) == expected(files)
    assert tar_members(tar_of(lengthened, form), generous) == dict.fromkeys(lengthened)


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
    "a.tar": ["tar", "cf", "a.tar", "work"],
    "dot.tgz": ["tar", "czf", "dot.tgz", "-C", "work", "."],
    "old.tar": ["tar", "cf", "old.tar", "--format=v7", "work"],
    "pax.tar.xz": ["tar", "cJf", "pax.tar.xz", "--format=pax", "work"],
}


@pytest.mark.parametrize("name", TOOLS)
def test_reads_what_ordinary_tools_write(tmp_path: Path, name: str) -> None:
    command = TOOLS[name]
    if not all(shutil.which(tool) for tool in (command[0], "zip", "tar", "xz")):
        pytest.skip(f"{command[0]} is not installed")
    (tmp_path / "work" / "empty").mkdir(parents=True)
    (tmp_path / "work" / "metrics.py").write_bytes(SOURCE)
    subprocess.run(command, cwd=tmp_path, check=True)
    found = read_archive(str(tmp_path / name), LIMITS, MAX_SIZES)
    kept = "metrics.py" if name == "dot.tgz" else "work/metrics.py"
    assert [(m.path, m.data) for m in found] == [(kept, SOURCE)]


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
    tar_of(SAMPLE_FILES).rstrip(b"\0") + bytes(2048),
    tar_of(SAMPLE_FILES, tarfile.GNU_FORMAT).rstrip(b"\0") + bytes(2048),
    gzip.compress(tar_of(SAMPLE_FILES), mtime=0),
    lzma.compress(tar_of(SAMPLE_FILES)),
]
KINDS = ["a.zip", "a.zip", "a.zip", "a.tar", "a.tar", "a.tar.gz", "a.tar.xz"]
INTERESTING = st.sampled_from(
    [b"\0", b"\xff", b"\xff" * 4, b"PK\1\2", b"PK\3\4", b"PK\5\6", b"../"]
)


def test_samples_are_accepted(tmp_path: Path) -> None:
    for name, data in zip(KINDS, SAMPLES, strict=True):
        assert read(tmp_path, name, data)["metrics.py"] == SOURCE


@st.composite
def mutated(draw: st.DrawFn, samples: list[bytes]) -> tuple[int, bytes]:
    index = draw(st.integers(0, len(samples) - 1))
    data = bytearray(samples[index])
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
    return index, bytes(data)


def repaired(data: bytes) -> bytes:
    """`data` with the tar checksums of all blocks that look like headers set right."""
    blocks = bytearray(data)
    for start in range(0, len(blocks) - 511, 512):
        if blocks[start + 257 : start + 262] == b"ustar":
            blocks[start + 148 : start + 156] = b" " * 8
            total = sum(blocks[start : start + 512])
            blocks[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(blocks)


def found_or_refused(
    action: Callable[[], dict[str, bytes | None]],
) -> dict[str, bytes | None]:
    """What is read; nothing, after a look at the message, if it is refused."""
    try:
        return action()
    except SubmissionError as error:
        message = str(error)
    assert message.isprintable()
    return {}


@given(mutated(SAMPLES[:5]))
@settings(max_examples=400)
def test_fuzzed_archives_are_read_or_refused(case: tuple[int, bytes]) -> None:
    index, data = case
    is_zip = KINDS[index] == "a.zip"
    paths = list(
        found_or_refused(
            lambda: (zip_members if is_zip else tar_members)(data if is_zip else repaired(data))
        )
    )
    assert len(paths) <= LIMITS.max_files
    assert not any(re.search(r"(^|/)\.\.(/|$)|^/|\\|[\x00-\x1f]", path) for path in paths)


@given(mutated(SAMPLES[5:]))
@settings(max_examples=100)
def test_fuzzed_compressed_files_are_read_or_refused(case: tuple[int, bytes]) -> None:
    index, data = case
    with tempfile.TemporaryDirectory() as folder:
        found_or_refused(lambda: read(Path(folder), KINDS[5 + index], data))


@given(mutated(SAMPLES[:3]))
@settings(max_examples=300)
def test_what_is_accepted_reads_alike_elsewhere(case: tuple[int, bytes]) -> None:
    """A zip that both readers accept means the same to both."""
    try:
        ours = zip_members(case[1], generous)
        with zipfile.ZipFile(io.BytesIO(case[1])) as archive:
            theirs = {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    except (SubmissionError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return
    normal = {name.removeprefix("./"): data for name, data in theirs.items()}
    assert {name: normal.get(name) for name, data in ours.items() if data is not None} == {
        name: data for name, data in ours.items() if data is not None
    }
    assert len(ours) == len(theirs)
