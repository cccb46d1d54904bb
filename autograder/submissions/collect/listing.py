"""What lies at the path that a class is collected from: a folder, or one zip of a platform.

Both look the same to collectors. Nothing is ever unpacked to disk, and no link is followed.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions import folder as folders
from autograder.submissions.archive import check_suffix, max_packed, parse_archive, read_archive
from autograder.submissions.files import Folder, close_folder, open_folder, read_file, refused_kind
from autograder.submissions.junk import environments, is_junk
from autograder.submissions.members import Member, UnsafeArchive, is_kept, with_slashes
from autograder.submissions.zip_format import UTF8_FLAG, decoded_name

Sizes = Mapping[str, int]

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)


@dataclass(frozen=True)
class FolderEntry:
    """One name in a folder; `odd` says why it is neither a file nor a folder."""

    name: str
    is_folder: bool
    odd: str = ""


class Listing(Protocol):
    """Names, and what lies under them; paths have forward slashes, the top is empty.

    Reading raises SubmissionError (text without the name) or OSError.
    """

    name: str

    def entries(self, folder: str = "") -> tuple[FolderEntry, ...]:
        """What lies directly in a folder, by name; nothing if it is none."""

    def file(self, path: str, limit: int) -> bytes:
        """A file's bytes; at most `limit` of them."""

    def members(self, path: str, limits: ArchiveLimits, sizes: Sizes) -> tuple[Member, ...]:
        """All files below a folder but junk, with paths relative to it."""

    def archive(self, path: str, limits: ArchiveLimits, sizes: Sizes) -> tuple[Member, ...]:
        """All files in a zip but junk."""


class FolderListing:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self.name = root.name
        self._root = root

    def entries(self, folder: str = "") -> tuple[FolderEntry, ...]:
        """See `Listing`."""
        try:
            with self._parent(f"{folder}/x" if folder else "x") as (parent, _):
                names = sorted(os.listdir(parent))  # noqa: PTH208 - may be a descriptor
                return tuple(self._listed(name, parent) for name in names)
        except OSError:
            if folder:
                return ()
            raise

    def _entry(self, name: str, parent: Folder) -> FolderEntry:
        if isinstance(parent, str):
            mode = os.lstat(os.path.join(parent, name)).st_mode  # noqa: PTH118
        else:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        return FolderEntry(name, stat.S_ISDIR(mode), refused_kind(mode))

    def _listed(self, name: str, parent: Folder) -> FolderEntry:
        try:
            return self._entry(name, parent)
        except OSError:  # gone since it was listed, which reading it will say
            return FolderEntry(name, False, "is gone")

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[Folder, str]]:
        """The open folder that `path` lies in, and its name there."""
        *above, name = path.split("/")
        folder = open_folder(str(self._root))
        try:
            for part in above:
                inner = open_folder(part, folder)
                close_folder(folder)
                folder = inner
            yield folder, name
        finally:
            close_folder(folder)

    @contextmanager
    def _checked(self, path: str) -> Iterator[tuple[Folder, str]]:
        """`_parent` of what is neither a link nor special; UnsafeArchive of what is."""
        with self._parent(path) as (parent, name):
            if reason := self._entry(name, parent).odd:
                raise UnsafeArchive(f"{reason}, which is not followed")
            yield parent, name

    def file(self, path: str, limit: int) -> bytes:
        """See `Listing`."""
        with self._checked(path) as (parent, name):
            return read_file(name, limit, parent)

    def members(self, path: str, limits: ArchiveLimits, sizes: Sizes) -> tuple[Member, ...]:
        """See `Listing`."""
        with self._checked(path) as (parent, name):
            return folders.read_folder(name, limits, sizes, parent)

    def archive(self, path: str, limits: ArchiveLimits, sizes: Sizes) -> tuple[Member, ...]:
        """See `Listing`."""
        with self._checked(path) as (parent, name):
            return read_archive(name, limits, sizes, parent)


def _name_of(info: zipfile.ZipInfo) -> str:
    """A member's name; the library reads one without the UTF-8 flag as cp437, macOS' are UTF-8."""
    if info.flag_bits & UTF8_FLAG:
        return info.filename
    return decoded_name(info.orig_filename.encode("cp437"), info.flag_bits)


class ZipListing:
    """A zip that a platform made of a class.

    The platform is trusted to pack well, not what students put in: names are checked, and no file
    gives more bytes than it may have.
    """

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self.name = name
        try:
            self._zip = zipfile.ZipFile(file)
        except (*_BROKEN, ValueError) as error:
            raise SubmissionError(f"not a zip archive, or cut off ({error})") from None
        self._files: dict[str, zipfile.ZipInfo] = {}
        self._below: dict[str, dict[str, bool]] = {"": {}}  # folder -> name -> is a folder
        for info in self._zip.infolist():
            self._add(info)

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = with_slashes(_name_of(info))
        path = name.removeprefix("./").rstrip("/")
        parts = path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or "\0" in path:
            return  # such a name leaves the archive, or means nothing
        for depth, part in enumerate(parts):
            is_folder = depth < len(parts) - 1 or name.endswith("/")
            above = self._below["/".join(parts[:depth])]
            above[part] = above.get(part, False) or is_folder
            if is_folder:
                self._below.setdefault("/".join(parts[: depth + 1]), {})
        if not name.endswith("/"):
            self._files[path] = info

    def entries(self, folder: str = "") -> tuple[FolderEntry, ...]:
        """See `Listing`."""
        below = self._below.get(folder, {})
        prefix = f"{folder}/" if folder else ""
        return tuple(
            FolderEntry(name, is_folder, "" if is_folder else self._odd(prefix + name))
            for name, is_folder in sorted(below.items())
        )

    def _odd(self, path: str) -> str:
        mode = self._files[path].external_attr >> 16
        return refused_kind(mode) if stat.S_IFMT(mode) else ""

    def file(self, path: str, limit: int) -> bytes:
        """See `Listing`."""
        if reason := self._odd(path):
            raise UnsafeArchive(f"{reason}, which is not followed")
        try:
            with self._zip.open(self._files[path]) as file:
                data = file.read(limit + 1)
        except _BROKEN as error:
            raise SubmissionError(f"cannot be unpacked ({error})") from None
        if len(data) > limit:
            raise SubmissionError(f"is larger than {limit:,} bytes")
        return data

    def members(self, path: str, limits: ArchiveLimits, sizes: Sizes) -> tuple[Member, ...]:
        """See `Listing`."""
        start = f"{path}/"
        paths = [name.removeprefix(start) for name in self._files if name.startswith(start)]
        roots = environments(paths, sizes)
        paths = [name for name in paths if not is_junk(name, roots)]
        if len(paths) > limits.max_files:
            raise SubmissionError(f"more than {limits.max_files:,} files")
        return tuple(self._member(start, name, sizes) for name in sorted(paths))

    def _member(self, start: str, name: str, sizes: Sizes) -> Member:
        size = self._files[start + name].file_size
        if reason := self._odd(start + name):
            return Member(name, reason=reason)
        if not is_kept(name, size, sizes):
            return Member(name, size)
        try:
            return Member(name, size, data=self.file(start + name, size))
        except SubmissionError as error:
            return Member(name, size, reason=str(error))

    def archive(self, path: str, limits: ArchiveLimits, sizes: Sizes) -> tuple[Member, ...]:
        """See `Listing`."""
        check_suffix(path.rpartition("/")[2])
        return parse_archive(self.file(path, max_packed(limits)), limits, sizes)
