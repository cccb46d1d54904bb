"""A strict reader of zip archives (APPNOTE 6.3.10, stored and deflated members only).

Every byte of the file must belong to exactly one member, the central directory or the end
record: this excludes overlapping members, hidden ones and data in front. The central directory
and the local headers must agree, and sizes and checksums are those of the bytes that really come
out. The standard library's reader is more forgiving, which is why it is not used here. Junk
(`autograder.submissions.junk`) has to keep its place in the file, but is neither unpacked nor
counted.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.identity import quoted
from autograder.submissions.inflate import inflated, plain
from autograder.submissions.junk import environments, is_junk
from autograder.submissions.members import (
    Budget,
    Inventory,
    Member,
    UnsafeArchive,
    is_kept,
    read_all,
    with_slashes,
)

_END = struct.Struct("<4s4H2LH")
_END_SIGNATURE = b"PK\x05\x06"
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_SIGNATURE = b"PK\x03\x04"
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"

_STORED, _DEFLATED = 0, 8
_ENCRYPTED_FLAGS = 0x0001 | 0x0040 | 0x2000
_PATCH_FLAG = 0x0020
_DESCRIPTOR_FLAG = 0x0008
UTF8_FLAG = 0x0800
_ZIP64 = 0xFFFFFFFF


@dataclass(frozen=True)
class _ZipEntry:
    """One record of the central directory; `mode` is Unix's, `name` has forward slashes."""

    raw_name: bytes
    name: str
    flags: int
    disk: int
    mode: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


def read_zip(
    data: memoryview, limits: ArchiveLimits, max_sizes: Mapping[str, int]
) -> tuple[Member, ...]:
    """All files of a zip archive but junk; SubmissionError in one line if it is not plain."""
    start, end, count = _find_directory(data)
    if count == 0:
        raise SubmissionError("the archive is empty")
    entries = list(_read_directory(data[start:end], count))
    spans = _locate(data, entries, start)
    roots = environments((entry.name.rstrip("/") for entry in entries), max_sizes)
    wanted = [
        (entry, span)
        for entry, span in zip(entries, spans, strict=True)
        if not is_junk(entry.name.rstrip("/"), roots)
    ]
    paths = _admit((entry for entry, _ in wanted), limits)
    junk = sum(entry.packed for entry in entries) - sum(entry.packed for entry, _ in wanted)
    if len(data) - junk > limits.max_bytes:
        raise SubmissionError(f"is larger than {limits.max_bytes:,} bytes")
    budget = Budget(len(data) - junk, limits)
    budget.check(sum(entry.size for entry, _ in wanted))
    members = [
        (entry, _read_member(entry, path, span, budget, max_sizes))
        for (entry, span), path in zip(wanted, paths, strict=True)
    ]
    return tuple(member for entry, member in members if not entry.is_folder)


def _admit(entries: Iterable[_ZipEntry], limits: ArchiveLimits) -> list[str]:
    """The path of each entry; SubmissionError for a name or a kind that no ordinary tool writes."""
    inventory = Inventory(limits)
    paths = []
    for entry in entries:
        _check_kind(entry)
        paths.append(inventory.admit(entry.name, entry.is_folder))
    return paths


def _find_directory(data: memoryview) -> tuple[int, int, int]:
    """Start and end of the central directory and its number of entries."""
    tail_start = max(0, len(data) - _END.size - 0xFFFF)
    tail = bytes(data[tail_start:])
    records = []
    position = tail.find(_END_SIGNATURE)
    while position >= 0:
        if position + _END.size <= len(tail):
            record = _END.unpack_from(tail, position)
            if position + _END.size + record[-1] == len(tail):
                records.append((tail_start + position, record))
        position = tail.find(_END_SIGNATURE, position + 1)
    if not records:
        raise SubmissionError("not a zip archive, or cut off")
    if len(records) > 1:
        raise UnsafeArchive("the archive has two end records")
    end, (_, disk, directory_disk, on_disk, count, size, offset, _) = records[0]
    if 0xFFFF in (disk, count) or _ZIP64 in (size, offset):
        raise SubmissionError("zip64 archives are not accepted")
    if disk or directory_disk or on_disk != count:
        raise SubmissionError("archives in several parts are not accepted")
    if offset + size != end:
        raise UnsafeArchive("the archive's directory is not where its end record says")
    return offset, end, count


def _read_directory(directory: memoryview, count: int) -> Iterator[_ZipEntry]:
    position = 0
    for _ in range(count):
        if position + _CENTRAL.size > len(directory):
            raise SubmissionError("the archive's directory is damaged")
        record = _CENTRAL.unpack_from(directory, position)
        if record[0] != _CENTRAL_SIGNATURE:
            raise SubmissionError("the archive's directory is damaged")
        flags, method = record[3:5]
        crc, packed, size, name_length, extra_length, comment_length, disk = record[7:14]
        attributes, offset = record[15:17]
        name_start = position + _CENTRAL.size
        raw_name = bytes(directory[name_start : name_start + name_length])
        position = name_start + name_length + extra_length + comment_length
        name = with_slashes(decoded_name(raw_name, flags))
        mode = attributes >> 16
        if _ZIP64 in (packed, size, offset):
            raise SubmissionError("zip64 archives are not accepted")
        yield _ZipEntry(raw_name, name, flags, disk, mode, method, crc, packed, size, offset)
    if position != len(directory):
        raise UnsafeArchive("the archive's directory is not as long as its end record says")


def decoded_name(raw: bytes, flags: int) -> str:
    """The name's text; without the UTF-8 flag many tools write UTF-8 all the same.

    SubmissionError if the flag is not true.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & UTF8_FLAG:
            raise SubmissionError("a member's name is not UTF-8") from None
        return raw.decode("cp437")


def _check_kind(entry: _ZipEntry) -> None:
    name, flags = quoted(entry.name), entry.flags
    if flags & _ENCRYPTED_FLAGS:
        raise SubmissionError(f"{name} is encrypted")
    if flags & _PATCH_FLAG or entry.method not in (_STORED, _DEFLATED):
        way = f"method {entry.method}, flags {flags:#x}"
        raise SubmissionError(f"{name} is packed in an unsupported way ({way})")
    if entry.disk:
        raise SubmissionError("archives in several parts are not accepted")
    if stat.S_ISLNK(entry.mode):
        raise UnsafeArchive(f"{name} is a symbolic link")
    if stat.S_IFMT(entry.mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnsafeArchive(f"{name} is a device or another special file")
    if entry.is_folder and entry.size:
        raise UnsafeArchive(f"{name} is a folder with content")


def _locate(data: memoryview, entries: list[_ZipEntry], directory: int) -> list[memoryview]:
    """The packed bytes of each entry; SubmissionError unless they tile the file exactly."""
    ordered = sorted(range(len(entries)), key=lambda index: entries[index].offset)
    if entries[ordered[0]].offset != 0:
        raise UnsafeArchive("the archive has data in front of its first member")
    spans = [data[:0]] * len(entries)
    for index, following in zip(ordered, [*ordered[1:], None], strict=True):
        entry = entries[index]
        end = directory if following is None else entries[following].offset
        spans[index] = _check_local(data[entry.offset : end], entry)
    return spans


def _check_local(span: memoryview, entry: _ZipEntry) -> memoryview:
    """The packed bytes in `span`, which reaches from this member to the next one."""
    name = quoted(entry.name)
    if len(span) < _LOCAL.size:
        raise UnsafeArchive(f"{name} overlaps another member")
    record = _LOCAL.unpack_from(span)
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = record
    if signature != _LOCAL_SIGNATURE:
        raise SubmissionError(f"the header of {name} is damaged")
    name_end = _LOCAL.size + name_length
    start = name_end + extra_length
    end = start + entry.packed
    if end > len(span):
        raise UnsafeArchive(f"{name} overlaps another member")
    if bytes(span[_LOCAL.size : name_end]) != entry.raw_name or method != entry.method:
        raise UnsafeArchive(f"the two headers of {name} differ")
    if flags & _ENCRYPTED_FLAGS:
        raise SubmissionError(f"{name} is encrypted")
    descriptor = bytes(span[end:])
    if flags & _DESCRIPTOR_FLAG:
        if descriptor and descriptor not in _descriptors(entry):
            raise UnsafeArchive(f"{name} is followed by data that belongs to no member")
        return span[start:end]
    if descriptor:
        raise UnsafeArchive(f"{name} is followed by data that belongs to no member")
    # A writer that reserves room for zip64 leaves these two to the extra field.
    if crc != entry.crc or packed not in (entry.packed, _ZIP64) or size not in (entry.size, _ZIP64):
        raise UnsafeArchive(f"the two headers of {name} differ")
    return span[start:end]


def _descriptors(entry: _ZipEntry) -> tuple[bytes, ...]:
    """The four ways to write an entry's data descriptor."""
    values = (entry.crc, entry.packed, entry.size)
    plain = (struct.pack("<LLL", *values), struct.pack("<LQQ", *values))
    return plain + tuple(_DESCRIPTOR_SIGNATURE + record for record in plain)


def _read_member(
    entry: _ZipEntry, path: str, packed: memoryview, budget: Budget, max_sizes: Mapping[str, int]
) -> Member:
    """Decompress one member, counting its bytes; content is kept for listed files only."""
    name = quoted(entry.name)
    stored = entry.method == _STORED
    chunks = plain(packed) if stored else inflated(packed, name)
    crc = 0

    def checked_chunks() -> Iterator[bytes]:
        nonlocal crc
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > entry.size:
                raise UnsafeArchive(f"{name} is larger than the archive says")
            budget.spend(len(chunk))
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if size != entry.size:
            raise UnsafeArchive(f"{name} is smaller than the archive says")

    keep = is_kept(path, entry.size, max_sizes)
    data = read_all(checked_chunks(), keep)
    if crc != entry.crc:
        raise SubmissionError(f"{name} is damaged (wrong checksum)")
    return Member(path, entry.size, data)
