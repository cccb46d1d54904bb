"""Reads a submission that is one file: a zip within its cap, and nothing else.

Members are checked and decompressed in memory; nothing is ever unpacked to disk.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.files import Folder, read_file
from autograder.submissions.members import Member
from autograder.submissions.zip_format import read_zip

_ZIP = ".zip"
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
    for suffix in (_ZIP, *_OTHERS):
        if folded.endswith(suffix) and len(name) > len(suffix):
            return name[-len(suffix) :]
    return ""


def read_archive(
    name: str, limits: ArchiveLimits, max_sizes: Mapping[str, int], parent: Folder | None = None
) -> tuple[Member, ...]:
    """All files of a zip; content of the listed ones only (`members.is_kept`).

    SubmissionError in one line, without the archive's name, for whatever is not a plain zip
    within the limits; OSError if the file cannot be read.
    """
    if archive_suffix(os.path.basename(name)).lower() != _ZIP:  # noqa: PTH119
        raise SubmissionError("is not a zip; pack it as .zip")
    data = memoryview(read_file(name, limits.max_bytes, parent))
    if not data:
        raise SubmissionError("the file is empty")
    return read_zip(data, limits, max_sizes)
