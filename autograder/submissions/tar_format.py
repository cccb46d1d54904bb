"""A strict reader of tar archives: ustar and pax (POSIX.1-2017, `pax`) and GNU long names.

The archive is read once from front to back through a byte budget. Only regular files and
folders are accepted; sparse files, links, devices and everything unknown are refused. Headers
that would make the standard library's reader recurse or allocate are bounded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.identity import quoted
from autograder.submissions.members import (
    CHUNK,
    Budget,
    Inventory,
    Member,
    UnsafeArchive,
    is_kept,
    read_all,
)

_BLOCK = 512
_MAX_EXTENDED_HEADER = 1 << 20  # macOS puts extended attributes there
_FILE, _FOLDER = (b"0", b"\0"), b"5"
_PAX, _PAX_GLOBAL, _GNU_NAME = b"x", b"g", b"L"
_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"K": "a link",
    b"3": "a device or another special file",
    b"4": "a device or another special file",
    b"6": "a device or another special file",
    b"S": "a sparse file",
}
_DAMAGED = "not a tar archive, or damaged"


class _Stream:
    """Exact reads from an iterator of chunks; everything that comes out is counted."""

    def __init__(self, chunks: Iterator[bytes], budget: Budget) -> None:
        self._chunks = chunks
        self._budget = budget
        self._chunk = b""
        self._position = 0

    def some(self, limit: int) -> bytes:
        """Between 1 and `limit` bytes, none at the end."""
        if self._position == len(self._chunk):
            self._chunk = next(self._chunks, b"")
            self._position = 0
            self._budget.spend(len(self._chunk))
        taken = self._chunk[self._position : self._position + limit]
        self._position += len(taken)
        return taken

    def parts(self, count: int) -> Iterator[bytes]:
        """`count` bytes in pieces."""
        while count:
            piece = self.some(min(count, CHUNK))
            if not piece:
                raise SubmissionError("the archive is cut off")
            count -= len(piece)
            yield piece

    def exactly(self, count: int) -> bytes:
        """`count` bytes in one."""
        return b"".join(self.parts(count))

    def skip_padding(self, size: int) -> None:
        """Pass over what fills the last block of `size` bytes of content."""
        self.exactly(-size % _BLOCK)


@dataclass(frozen=True)
class _Header:
    """One header block. A name cut short by its field need not be UTF-8, so it is kept raw."""

    raw_name: bytes
    kind: bytes
    size: int


def read_tar(
    chunks: Iterator[bytes], archive_bytes: int, limits: ArchiveLimits, max_sizes: Mapping[str, int]
) -> tuple[Member, ...]:
    """All files of a decompressed tar stream; SubmissionError in one line if one is not plain."""
    stream = _Stream(chunks, Budget(archive_bytes, limits))
    inventory = Inventory(limits)
    members: list[Member] = []
    empty = True
    long_name: str | None = None
    while (block := stream.exactly(_BLOCK)).strip(b"\0"):
        empty = False
        header = _parse(block)
        if header.kind in (_PAX, _PAX_GLOBAL, _GNU_NAME):
            found = _extended_name(header, _extended_content(stream, header))
            if found is not None and long_name is not None:
                raise UnsafeArchive(f"a member has two names, {quoted(long_name)} is one")
            long_name = long_name if found is None else found
            continue
        name = _text(header.raw_name) if long_name is None else long_name
        long_name = None
        member = _read_member(stream, name, header, inventory, max_sizes)
        if member is not None:
            members.append(member)
    if long_name is not None:
        raise SubmissionError("the archive is cut off")
    if empty:
        raise SubmissionError("the archive is empty")
    _check_end(stream)
    return tuple(members)


def _read_member(
    stream: _Stream, name: str, header: _Header, inventory: Inventory, max_sizes: Mapping[str, int]
) -> Member | None:
    """One regular file with its padding, None for a folder."""
    if header.kind in _KINDS:
        raise UnsafeArchive(f"{quoted(name)} is {_KINDS[header.kind]}")
    if header.kind not in (*_FILE, _FOLDER):
        raise SubmissionError(f"{quoted(name)} is of an unsupported kind")
    is_folder = header.kind == _FOLDER or name.endswith("/")
    path = inventory.admit(name, is_folder)
    if is_folder:
        if header.size:
            raise UnsafeArchive(f"{quoted(name)} is a folder with content")
        return None
    keep = is_kept(path, header.size, max_sizes)
    data = read_all(stream.parts(header.size), keep)
    stream.skip_padding(header.size)
    return Member(path, header.size, data)


def _check_end(stream: _Stream) -> None:
    """After the first block of zeros only zeros follow, one block of them at least."""
    count = 0
    while chunk := stream.some(CHUNK):
        count += len(chunk)
        if chunk.strip(b"\0"):
            raise UnsafeArchive("the archive has data behind its end")
    if count < _BLOCK:
        raise SubmissionError("the archive is cut off")


def _parse(block: bytes) -> _Header:
    if _octal(block[148:156]) != sum(block[:148]) + 8 * ord(" ") + sum(block[156:]):
        raise SubmissionError(_DAMAGED)
    name = _field(block[:100])
    prefix = _field(block[345:500]) if block[257:263] == b"ustar\0" else b""
    raw_name = prefix + b"/" + name if prefix else name
    return _Header(raw_name, block[156:157], _octal(block[124:136]))


def _octal(field: bytes) -> int:
    """A number of a header; larger ones (base 256) are beyond what is accepted anyway."""
    digits = field.strip(b" \0")
    if not digits or digits.strip(b"01234567"):
        raise SubmissionError(_DAMAGED)
    return int(digits, 8)


def _field(field: bytes) -> bytes:
    """A fixed field up to its first NUL, if it has one."""
    return field.split(b"\0", 1)[0]


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise SubmissionError("a member's name is not UTF-8") from None


def _extended_content(stream: _Stream, header: _Header) -> bytes:
    if header.size > _MAX_EXTENDED_HEADER:
        raise UnsafeArchive("a member has an oversized extended header")
    content = stream.exactly(header.size)
    stream.skip_padding(header.size)
    return content


def _extended_name(header: _Header, content: bytes) -> str | None:
    """The name that an extended header gives to the next member, if it does."""
    if header.kind == _GNU_NAME:
        return _text(content.removesuffix(b"\0"))
    records = dict(_pax_records(content))
    if "size" in records or any(key.startswith("GNU.sparse") for key in records):
        raise UnsafeArchive("a member's extended header changes its size")
    if header.kind == _PAX_GLOBAL and "path" in records:
        raise UnsafeArchive("a global header names all members alike")
    path = records.get("path")
    return None if path is None else _text(path)


def _pax_records(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The `length key=value` lines of a pax header."""
    position = 0
    while position < len(content):
        length_text = content[position : position + 8].split(b" ", 1)[0]
        length = int(length_text) if length_text.isdigit() else 0
        record = content[position : position + length]
        key, equals, value = record[len(length_text) + 1 : -1].partition(b"=")
        if len(record) != length or not record.endswith(b"\n") or not equals:
            raise SubmissionError("a member's extended header is damaged")
        yield key.decode("utf-8", "replace"), value
        position += length
