"""Which layout a path is in, and where the names lie that say whose the submissions are.

Names are believed that a platform or the teaching assistant gave: of the path, and of what lies
directly in it. What lies inside one student's folder or archive was named by the student, and says
neither whose it is nor when it came. So a folder or an archive that lies alone, as unpackers and
downloads leave it, is a class only if more than one student is named in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course import Session
from autograder.errors import SubmissionError
from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect import canvas, clones, gradescope, moodle, nbgrader, plain
from autograder.submissions.collect.candidate import DownloadFolder, Layout
from autograder.submissions.collect.listing import FolderEntry, FolderListing, Listing, ZipListing
from autograder.submissions.identity import quoted
from autograder.submissions.junk import is_hidden, is_junk_name
from autograder.submissions.submission import student_of

_NAMED = (moodle.LAYOUT, canvas.LAYOUT)  # every folder and file there bears its student's name
_PACKED = (gradescope.LAYOUT, *_NAMED)  # what platforms make archives of
_SPECIFIC = (*_PACKED, nbgrader.LAYOUT, clones.LAYOUT)
LAYOUTS = {layout.name: layout for layout in (plain.LAYOUT, *_SPECIFIC)}
"""By the value of --layout."""

_LEVELS = 2  # folders that hold nothing but another, as unpackers make them


@dataclass(frozen=True)
class Reading:
    """A layout, the folder whose names it claims, and lines on what may be meant otherwise."""

    layout: Layout
    top: DownloadFolder
    lines: tuple[str, ...] = ()


@contextmanager
def reading(root: Path, session: Session, wanted: Layout | None) -> Iterator[Reading]:
    """How a folder or an archive is read: as `wanted`, or as the names say.

    SubmissionError for an archive that has to be opened and cannot be; OSError as usual.
    """
    within = root.is_dir()
    if within:
        given, archive = _top(FolderListing(root), "", session), _only_archive(root)
    else:
        entry = FolderEntry(root.name, is_folder=False)
        given, archive = DownloadFolder(FolderListing(root.parent), "", (entry,), session), root
    if archive is None or (within and wanted is plain.LAYOUT):
        yield _asked([given], wanted) if wanted else _recognized(given, None, within)
        return
    with archive.open("rb") as file:
        try:
            packed = _top(ZipListing(archive.name, file), "", session)
        except SubmissionError:
            if wanted is not None and not wanted.claim(given).candidates:
                raise
            packed = None
        if wanted is None:
            yield _recognized(given, packed, within)
        else:
            starts = [packed, given] if wanted is plain.LAYOUT else [given, packed]
            yield _asked([start for start in starts if start is not None], wanted)


def _only_archive(root: Path) -> Path | None:
    """The one archive in a folder, at most beside loose files: perhaps a platform's download."""
    paths = [root / name for name in os.listdir(root) if not is_junk_name(name)]  # noqa: PTH208
    archives = [path for path in paths if archive_suffix(path.name)]
    if len(archives) != 1 or not all(path.is_file() and not path.is_symlink() for path in paths):
        return None
    return archives[0]


def _top(listing: Listing, folder: str, session: Session) -> DownloadFolder:
    entries = tuple(e for e in listing.entries(folder) if not _is_beside(e.name))
    return DownloadFolder(listing, folder, entries, session)


def _is_beside(name: str) -> bool:
    """What lies in every folder and is nobody's; a name with a dot may still be a student's."""
    return name in plain.LEFT_BY_TOOLS - {clones.GIT} or (
        is_junk_name(name) and not is_hidden(name)
    )


def _descents(top: DownloadFolder) -> Iterator[DownloadFolder]:
    """A folder, and below it those that lie in a folder alone."""
    yield top
    for _ in range(_LEVELS):
        if len(top.entries) != 1 or not top.entries[0].is_folder:
            return
        top = _top(top.listing, top.path(top.entries[0].name), top.session)
        yield top


def _asked(starts: list[DownloadFolder], wanted: Layout) -> Reading:
    """A layout that was asked for, and the first folder where something is named so."""
    tops = [top for start in starts for top in _descents(start)]
    if wanted is plain.LAYOUT:
        return Reading(wanted, tops[0])
    return Reading(wanted, next((top for top in tops if wanted.claim(top).candidates), tops[0]))


# ---- what names say ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """A layout at some `depth` of folders and archives, which names so many `students`."""

    layout: Layout
    top: DownloadFolder
    depth: int
    students: int


def _recognized(given: DownloadFolder, packed: DownloadFolder | None, within: bool) -> Reading:
    """How a path is read, by the names in it, or by those in the archive that lies there alone.

    `within`: the archive lies in the path; otherwise it is the path.
    """
    found = _found(given, _SPECIFIC)
    folders = found.top.folder.split("/") if found is not None else []
    name = folders[0] if folders else ""
    named = any(_bears_session(f"{folder}.zip", given.session) for folder in folders)
    if found is None and packed is not None:
        name, named = packed.name, _bears_session(packed.name, given.session)
        if (layout := _of_an_archive(given, name)) is not None:
            return Reading(layout, given)
        found = _found(packed, _PACKED, depth=int(within), packed=True)
    if found is None:
        return Reading(plain.LAYOUT, given)
    if named or (found.depth > 0 and found.students == 1):
        line = (
            f"{quoted(name)} was read as one student's, by its name; what lies in it looks like "
            f"{found.layout.title}: if it is, give --layout {found.layout.name}"
        )
        return Reading(plain.LAYOUT, given, (line,))
    return Reading(found.layout, found.top, tuple(_doubt(found, name or given.listing.name)))


def _found(
    start: DownloadFolder, layouts: tuple[Layout, ...], depth: int = 0, packed: bool = False
) -> _Found | None:
    for level, top in enumerate(_descents(start), depth):
        for layout in layouts:
            students = layout.students(top)
            if students and level > 0 and layout is clones.LAYOUT:
                students = max(1, clones.of_session(top))  # a student may have several, of any name
            # Files of one submission may lie about where the class does, but nowhere else.
            may_be_one = packed or level > 0 or (students == 1 and layout not in _NAMED)
            if students and not (may_be_one and _is_submission(top)):
                return _Found(layout, top, level, students)
    return None


def _is_submission(top: DownloadFolder) -> bool:
    """Whether one student's work lies there: what lies beside it is the student's too."""
    return top.session.folder in top.names() or set(top.session.required_files) <= top.names()


def _bears_session(name: str, session: Session) -> bool:
    """Whether an archive is named as `submit` names one student's."""
    return student_of(name, session) != name.removesuffix(archive_suffix(name))


def _of_an_archive(given: DownloadFolder, name: str) -> Layout | None:
    """The layout in which the archive's own name is one student's."""
    entries = tuple(entry for entry in given.entries if entry.name == name)
    alone = replace(given, entries=entries)
    return next((layout for layout in _NAMED if layout.students(alone)), None)


def _doubt(found: _Found, name: str) -> Iterator[str]:
    """A line where the only student is named by what may be the student's own."""
    packed = archive_suffix(name)
    if found.students > 1 or not (packed or found.layout is gradescope.LAYOUT):
        return
    own = f"{name.removesuffix(packed)}_{found.top.session.id}.zip"
    to_do = f"name it {own}" if packed else "give the folder that it lies in"
    yield (
        f"{quoted(name)} was read as {found.layout.title}, in which one student is named; "
        f"if it is a student's own work, {to_do}"
    )
