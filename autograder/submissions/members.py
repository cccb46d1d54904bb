"""Rules for the names and sizes in every archive, independent of its format.

Nothing is repaired: an archive with one bad member is refused as a whole, because another tool
may read the same bytes differently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.identity import quoted

MAX_SOURCE_BYTES = 1_000_000
MAX_DEPTH = 16
MAX_PATH = 1024
CHUNK = 64 * 1024

# Small files compress by any ratio (a notebook, an array of zeros); bombs are large.
_RATIO_COUNTS_FROM = 1 << 20

_DRIVE = re.compile(r"[A-Za-z]:")
_NOT_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class UnsafeArchive(SubmissionError):
    """Refused for a member that no ordinary tool writes; named for the teaching assistant."""


@dataclass(frozen=True)
class Member:
    """One file. `data` is kept for listed files only; `reason` says why it was not opened.

    `path` uses forward slashes; a folder that was not entered ends in one.
    """

    path: str
    size: int = 0
    data: bytes | None = None
    reason: str = ""

    @property
    def parent(self) -> str:
        """The folder that the member lies in; empty at the top."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the path; empty for a folder."""
        return self.path.rpartition("/")[2]


ZIP = ".zip"
ANY_ZIP = "*.zip"


def is_kept(path: str, size: int, max_sizes: Mapping[str, int]) -> bool:
    """Whether content is kept: a listed name within its size, at any depth.

    `max_sizes` maps the names of the listed files to the bytes that each may have, and ANY_ZIP to
    those of a zip inside the submission, if such are wanted.
    """
    name = path.rpartition("/")[2]
    other = max_sizes.get(ANY_ZIP, -1) if name.lower().endswith(ZIP) else -1
    return size <= max_sizes.get(name, other)


class Budget:
    """Counts the bytes that really come out of an archive."""

    def __init__(self, archive_bytes: int, limits: ArchiveLimits) -> None:
        self._archive_bytes = max(archive_bytes, 1)
        self._limits = limits
        self._spent = 0

    def spend(self, count: int) -> None:
        """Count `count` more bytes; SubmissionError beyond the total or the ratio."""
        self._spent += count
        self.check(self._spent)

    def check(self, total: int) -> None:
        """Refuse `total` decompressed bytes, real or declared, if they are too many."""
        ratio = self._limits.max_ratio
        if total > _RATIO_COUNTS_FROM and total > ratio * self._archive_bytes:
            raise UnsafeArchive(f"the archive unpacks to more than {ratio:g} times its size")
        if total > self._limits.max_bytes:
            raise SubmissionError(
                f"the archive unpacks to more than {self._limits.max_bytes:,} bytes"
            )


class Inventory:
    """The names seen so far; every member must be admitted before it is read."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._count = 0
        self._seen: dict[str, tuple[str, bool]] = {}  # folded path -> (path, is a folder)

    def admit(self, raw: str, is_folder: bool) -> str:
        """Check one member's name and return its path without a leading `./`.

        The archive's own root (`./`) gives an empty path. SubmissionError names the member.
        """
        self._count += 1
        if self._count > self._limits.max_files:
            raise SubmissionError(f"more than {self._limits.max_files:,} files")
        parts = _parts(raw)
        if not parts and not is_folder:
            raise SubmissionError("a member has no name")
        for depth in range(1, len(parts) + 1):
            self._enter("/".join(parts[:depth]), is_folder or depth < len(parts))
        return "/".join(parts)

    def _enter(self, path: str, is_folder: bool) -> None:
        """Note a path: a file once, a folder any number of times, both in one spelling."""
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if key not in self._seen:
            self._seen[key] = (path, is_folder)
            return
        before, was_folder = self._seen[key]
        if before != path:
            raise SubmissionError(
                f"{quoted(before)} and {quoted(path)} differ in case or form only"
            )
        if was_folder != is_folder:
            raise SubmissionError(f"{quoted(path)} is both a file and a folder")
        if not is_folder:
            raise SubmissionError(f"{quoted(path)} occurs twice")


def with_slashes(raw: str) -> str:
    """A member's name with forward slashes: some packers of Windows write backslashes."""
    return raw.replace("\\", "/")


def _parts(raw: str) -> list[str]:
    """The parts of a member's name; SubmissionError for a name that could mean anything else."""
    name = quoted(raw)
    if len(raw) > MAX_PATH:
        raise SubmissionError(f"the name {name} is longer than {MAX_PATH} characters")
    if any(unicodedata.category(c) in _NOT_IN_NAMES or c in _BIDI for c in raw):
        raise UnsafeArchive(f"the name {name} holds a control character")
    raw = with_slashes(raw)
    if raw.startswith("/"):
        raise UnsafeArchive(f"the name {name} is an absolute path")
    path = raw.removesuffix("/")
    parts = path.split("/") if path else []
    if parts[:1] == ["."]:
        parts = parts[1:]  # some tools write ./name
    if ".." in parts:
        raise UnsafeArchive(f"the name {name} leaves the archive's folder")
    if any(_DRIVE.match(part) for part in parts[:1]):
        raise UnsafeArchive(f"the name {name} starts with a drive letter")
    if "" in parts or "." in parts:
        raise SubmissionError(f"the name {name} has an empty part")
    if len(parts) > MAX_DEPTH:
        raise SubmissionError(f"{name} lies more than {MAX_DEPTH} folders deep")
    return parts


def read_all(chunks: Iterable[bytes], keep: bool) -> bytes | None:
    """Read `chunks` to their end, so that their checks are made; the whole only if `keep`."""
    kept = [chunk for chunk in chunks if keep]
    return b"".join(kept) if keep else None
