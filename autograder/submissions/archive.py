"""Reads a submission that is one file: which format, and the file itself within its cap.

Members are checked and decompressed in memory; nothing is ever unpacked to disk.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.files import Folder, read_file
from autograder.submissions.inflate import inflated, plain, unxz
from autograder.submissions.members import Member
from autograder.submissions.tar_format import read_tar
from autograder.submissions.zip_format import read_zip

SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".tar", ".zip")
_OTHER_SUFFIXES = (".7z", ".bz2", ".gz", ".rar", ".tbz2", ".txz", ".xz", ".zst")
_GZIP_WINDOW = zlib.MAX_WBITS + 16


def archive_suffix(name: str) -> str:
    """The suffix that makes `name` an archive, accepted or not; empty if none does."""
    folded = name.lower()
    for suffix in SUFFIXES + _OTHER_SUFFIXES:
        if folded.endswith(suffix) and len(name) > len(suffix):
            return name[-len(suffix) :]
    return ""


def read_archive(
    name: str, limits: ArchiveLimits, max_sizes: Mapping[str, int], parent: Folder | None = None
) -> tuple[Member, ...]:
    """All files of an archive; content of the listed ones only (`members.is_kept`).

    SubmissionError in one line, without the archive's name, for whatever is not a plain archive
    of an accepted kind within the limits; OSError if the file cannot be read.
    """
    suffix = archive_suffix(os.path.basename(name)).lower()  # noqa: PTH119
    if suffix not in SUFFIXES:
        raise SubmissionError(f"not an accepted archive; use one of {', '.join(sorted(SUFFIXES))}")
    data = memoryview(read_file(name, limits.max_bytes, parent))
    if not data:
        raise SubmissionError("the file is empty")
    if suffix == ".zip":
        return read_zip(data, limits, max_sizes)
    if suffix == ".tar":
        chunks = plain(data)
    elif suffix == ".tar.xz":
        chunks = unxz(data, "the archive")
    else:
        chunks = inflated(data, _GZIP_WINDOW, "the archive")
    return read_tar(chunks, len(data), limits, max_sizes)
