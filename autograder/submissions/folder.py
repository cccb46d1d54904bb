"""Reads a submission that is a folder: its files and those of its sub-folders, no deeper."""

from __future__ import annotations

import os
from collections.abc import Mapping

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.files import Folder, close_folder, open_folder, read_file, refused_kind
from autograder.submissions.members import Member, is_hidden, is_kept

_LEVELS = 2


def read_folder(
    name: str, limits: ArchiveLimits, max_sizes: Mapping[str, int], parent: Folder | None = None
) -> tuple[Member, ...]:
    """The visible files of a folder, sorted by path; content of the listed ones only.

    Links and special files come back with a reason and are never opened. More entries than
    `max_files` give SubmissionError; an unreadable folder gives OSError.
    """
    members: list[Member] = []
    _walk(name, "", limits.max_files, max_sizes, parent, members)
    return tuple(sorted(members, key=lambda member: member.path))


def _walk(
    name: str,
    prefix: str,
    limit: int,
    max_sizes: Mapping[str, int],
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
                    members.append(_read(entry, prefix, max_sizes, folder))
                elif prefix.count("/") + 1 < _LEVELS:
                    _walk(entry.name, f"{prefix}{entry.name}/", limit, max_sizes, folder, members)
                else:
                    members.append(Member(f"{prefix}{entry.name}/"))
    finally:
        close_folder(folder)


def _read(
    entry: os.DirEntry[str], prefix: str, max_sizes: Mapping[str, int], folder: Folder
) -> Member:
    path = prefix + entry.name
    status = entry.stat(follow_symlinks=False)
    if reason := refused_kind(status.st_mode):
        return Member(path, reason=reason)
    if not is_kept(path, status.st_size, max_sizes):
        return Member(path, status.st_size)
    try:
        data = read_file(entry.name, max_sizes[entry.name], folder)
    except SubmissionError as error:
        return Member(path, status.st_size, reason=str(error))
    except OSError as error:
        return Member(path, status.st_size, reason=f"cannot be read ({error.strerror})")
    return Member(path, len(data), data=data)
