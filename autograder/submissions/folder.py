"""Reads a submission that is a folder: its files at any depth, without following anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.files import Folder, close_folder, open_folder, read_file, refused_kind
from autograder.submissions.junk import MARKS_OF_ENVIRONMENTS, is_junk_name
from autograder.submissions.members import MAX_DEPTH, Member, is_kept, with_slashes

_FOLDERS_PER_FILE = 10
_KEPT_ARCHIVES = 8  # so many times `max_bytes` are held of one folder at most


@dataclass
class _Walk:
    """What has been read of one submission so far."""

    limits: ArchiveLimits
    max_sizes: Mapping[str, int]
    members: list[Member] = field(default_factory=list)
    folders: int = 0
    kept: int = 0

    def add(self, member: Member) -> None:
        if len(self.members) >= self.limits.max_files:
            raise SubmissionError(f"more than {self.limits.max_files:,} files")
        self.kept += len(member.data or b"")
        self.members.append(member)

    def enter(self) -> None:
        self.folders += 1
        if self.folders > _FOLDERS_PER_FILE * self.limits.max_files:
            raise SubmissionError(f"more than {self.folders - 1:,} folders")


def read_folder(
    name: str, limits: ArchiveLimits, max_sizes: Mapping[str, int], parent: Folder | None = None
) -> tuple[Member, ...]:
    """The files of a folder but junk, sorted by path; content of the listed ones only.

    Links and special files come back with a reason and are never opened; a folder too deep, or one
    that cannot be read, comes back as a member whose path ends in a slash. More entries than
    `max_files` give SubmissionError; OSError if the folder itself cannot be read.
    """
    walk = _Walk(limits, max_sizes)
    _visit(name, "", walk, parent)
    return tuple(sorted(_separated(walk.members), key=lambda member: member.path))


def _visit(name: str, prefix: str, walk: _Walk, parent: Folder | None) -> None:
    folder = open_folder(name, parent)
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not is_junk_name(entry.name)]
        names = {entry.name for entry in entries}
        listed = names & walk.max_sizes.keys()
        if prefix and not listed and not MARKS_OF_ENVIRONMENTS.isdisjoint(names):
            return
        walk.enter()
        folders = []
        for entry in entries:  # files first: those near the top are the likeliest to count
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            else:
                walk.add(_read(entry, prefix, walk, folder))
        for below in folders:
            path = f"{prefix}{below}/"
            if prefix.count("/") + 1 >= MAX_DEPTH:
                walk.add(Member(path))
                continue
            try:
                _visit(below, path, walk, folder)
            except OSError as error:
                walk.add(Member(path, reason=f"cannot be read ({error.strerror})"))
    finally:
        close_folder(folder)


def _read(entry: os.DirEntry[str], prefix: str, walk: _Walk, folder: Folder) -> Member:
    path = prefix + entry.name
    status = entry.stat(follow_symlinks=False)
    if reason := refused_kind(status.st_mode):
        return Member(path, reason=reason)
    name = with_slashes(entry.name).rpartition("/")[2]
    if not is_kept(name, status.st_size, walk.max_sizes):
        return Member(path, status.st_size)
    if walk.kept + status.st_size > _KEPT_ARCHIVES * walk.limits.max_bytes:
        return Member(path, status.st_size, reason="is one of too many files of its name")
    try:
        data = read_file(entry.name, status.st_size, folder)
    except SubmissionError as error:
        return Member(path, status.st_size, reason=str(error))
    except OSError as error:
        return Member(path, status.st_size, reason=f"cannot be read ({error.strerror})")
    return Member(path, len(data), data=data)


def _separated(members: list[Member]) -> list[Member]:
    """Members whose names hold backslashes lie in folders, if nothing else lies there.

    That is what some tools make of an archive that a packer of Windows wrote.
    """
    taken = {member.path for member in members}
    separated = []
    for member in members:
        path = with_slashes(member.path)
        if path != member.path and path not in taken and _is_plain(path):
            taken.add(path)
            member = replace(member, path=path)
        separated.append(member)
    return separated


def _is_plain(path: str) -> bool:
    return {"", ".", ".."}.isdisjoint(path.split("/"))
