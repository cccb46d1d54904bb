"""Reads a submission that is a folder: its files and those of its sub-folders, no deeper."""

from __future__ import annotations

import os

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.files import Folder, close_folder, kind_flaw, open_folder, read_file
from autograder.submissions.members import MAX_SOURCE_BYTES, Member, is_hidden

_LEVELS = 2


def read_folder(
    name: str, limits: ArchiveLimits, wanted: frozenset[str], parent: Folder | None = None
) -> tuple[Member, ...]:
    """The visible files of a folder, sorted by path; content of the wanted names only.

    Links and special files come back with a flaw and are never opened. More entries than
    `max_files` give SubmissionError; an unreadable folder gives OSError.
    """
    members: list[Member] = []
    _walk(name, "", limits.max_files, wanted, parent, members)
    return tuple(sorted(members, key=lambda member: member.path))


def _walk(
    name: str,
    prefix: str,
    limit: int,
    wanted: frozenset[str],
    parent: Folder | None,
    members: list[Member],
) -> None:
    folder = open_folder(name, parent)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if len(members) >= limit:
                    raise SubmissionError(f"more than {limit:,} files")
                if not entry.is_dir(follow_symlinks=False):
                    members.append(_read(entry, prefix, wanted, folder))
                elif prefix.count("/") + 1 < _LEVELS:
                    _walk(entry.name, f"{prefix}{entry.name}/", limit, wanted, folder, members)
                else:
                    members.append(Member(f"{prefix}{entry.name}/"))
    finally:
        close_folder(folder)


def _read(entry: os.DirEntry[str], prefix: str, wanted: frozenset[str], folder: Folder) -> Member:
    path = prefix + entry.name
    status = entry.stat(follow_symlinks=False)
    if flaw := kind_flaw(status.st_mode):
        return Member(path, flaw=flaw)
    if entry.name not in wanted or status.st_size > MAX_SOURCE_BYTES:
        return Member(path, status.st_size)
    try:
        data = read_file(entry.name, MAX_SOURCE_BYTES, folder)
    except SubmissionError as error:
        return Member(path, status.st_size, flaw=str(error))
    except OSError as error:
        return Member(path, status.st_size, flaw=f"cannot be read ({error.strerror})")
    return Member(path, len(data), data=data)
