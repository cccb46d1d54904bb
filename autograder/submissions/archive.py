"""Reads a submission that is one file: a zip within its cap, and nothing else.

Members are checked and decompressed in memory; nothing is ever unpacked to disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.files import Folder, read_file
from autograder.submissions.members import ZIP, Member
from autograder.submissions.zip_format import read_zip

MAX_BYTES_WITH_JUNK = 256_000_000
"""Of an archive as it lies there: the course's limit is for what is left without junk."""

# What else people pack with: recognized, so that nobody's submission is skipped without a record.
_COMPRESSIONS = ("gz", "bz2", "xz", "zst")
_OTHERS = (
    *(f".tar.{name}" for name in _COMPRESSIONS),
    *(f".{name}" for name in _COMPRESSIONS),
    *(".tar", ".tgz", ".tbz2", ".txz", ".7z", ".rar"),
)


def archive_suffix(name: str) -> str:
    """The suffix that makes `name` an archive, accepted or not; empty if none does."""
    folded = name.lower()
    for suffix in (ZIP, *_OTHERS):
        if folded.endswith(suffix) and len(name) > len(suffix):
            return name[-len(suffix) :]
    return ""


def packs_one_file(name: str) -> bool:
    """Whether the suffix is that of one compressed file, as of a data set: no work lies in it."""
    suffix = archive_suffix(name).lower()
    return suffix[1:] in _COMPRESSIONS


def read_archive(
    name: str, limits: ArchiveLimits, max_sizes: Mapping[str, int], parent: Folder | None = None
) -> tuple[Member, ...]:
    """All files of a zip but junk; content of the listed ones only (`members.is_kept`).

    SubmissionError in one line, without the archive's name, for whatever is not a plain zip
    within the limits; OSError if the file cannot be read.
    """
    check_suffix(os.path.basename(name))  # noqa: PTH119
    return parse_archive(read_file(name, max_packed(limits), parent), limits, max_sizes)


def check_suffix(name: str) -> None:
    """SubmissionError for an archive that is no zip by its name."""
    if archive_suffix(name).lower() != ZIP:
        raise SubmissionError("is not a zip; pack it as .zip")


def max_packed(limits: ArchiveLimits) -> int:
    """The bytes that are read of an archive, junk included."""
    return max(limits.max_bytes, MAX_BYTES_WITH_JUNK)


def parse_archive(
    data: bytes, limits: ArchiveLimits, max_sizes: Mapping[str, int]
) -> tuple[Member, ...]:
    """`read_archive` from the bytes of a zip."""
    if not data:
        raise SubmissionError("the file is empty")
    return read_zip(memoryview(data), limits, max_sizes)
