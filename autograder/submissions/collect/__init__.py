"""From what a platform gives to one `Submission` per student: one collector per layout.

plain        folders and archives, named by their students
moodle       "Download all submissions": folders, loose files, or the zip itself
canvas       "Download submissions": loose files and archives, or the zip itself
gradescope   "Export submissions" with its metadata
nbgrader     submitted/STUDENT/ASSIGNMENT/ with time stamps
clones       one clone of a repository per student

A layout is recognized by its names; what lies beside it and is a folder or an archive is collected
as plain. listing shows folders and zips alike, candidate is what a collector gives, attempts says
which candidate of a student counts, reading makes records of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course import ArchiveLimits, Session
from autograder.errors import InputErrors, SubmissionError
from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect import (
    attempts,
    canvas,
    clones,
    gradescope,
    moodle,
    nbgrader,
    plain,
)
from autograder.submissions.collect.candidate import Claimed, DownloadFolder, Layout
from autograder.submissions.collect.listing import FolderListing, Listing, ZipListing
from autograder.submissions.collect.reading import read_all
from autograder.submissions.identity import quoted
from autograder.submissions.junk import is_hidden, is_junk_name
from autograder.submissions.submission import Submission, read_submission

_SPECIFIC = (
    gradescope.LAYOUT,
    moodle.LAYOUT,
    canvas.LAYOUT,
    nbgrader.LAYOUT,
    clones.LAYOUT,
)
LAYOUTS = {layout.name: layout for layout in (plain.LAYOUT, *_SPECIFIC)}
"""By the value of --layout."""

_LEVELS = 2  # folders that hold nothing but another, as unpackers make them
_EXAMPLES = 5


@dataclass(frozen=True)
class Collected:
    """All submissions under a path, by name; `errors` are lines on what cannot be graded.

    `layout` is the name of the layout that they were read in.
    """

    submissions: tuple[Submission, ...]
    errors: tuple[str, ...] = ()
    layout: str = "plain"


def collect(
    path: Path,
    session: Session,
    limits: ArchiveLimits,
    *,
    layout: str | None = None,
    accept_missing: bool = False,
) -> Collected:
    """Read every submission under `path`.

    `path` is a platform's download (a folder, or the zip itself), a folder with one sub-folder or
    archive per student, or a single submission. `layout` is a key of LAYOUTS; without it, the
    names decide. `limits.max_bytes` holds for an archive, for what it unpacks to and for a listed
    file that is no module. Of one student's attempts the last counts; where there is no telling
    (a folder and an archive of one name, names that differ in case only), none is graded, and
    each gets a record whose problem names them all.

    SubmissionError if there is nothing to read; InputErrors, with a line for each of the first,
    if most students' submissions lack every file, unless `accept_missing`.
    """
    if layout is not None and layout not in LAYOUTS:
        raise SubmissionError(f"unknown layout {layout!r}: use {', '.join(LAYOUTS)}")
    root = Path(os.path.realpath(path))
    try:
        mode = root.stat().st_mode
        if not stat.S_ISDIR(mode) and not archive_suffix(root.name):
            raise SubmissionError(f"{path} is neither a folder nor an archive")
        with _listing(root, session, layout) as listing:
            if listing is None:
                return Collected((read_submission(root, session, limits),))
            collected = _collected(path, root, listing, session, limits, layout)
    except OSError as error:
        raise SubmissionError(f"cannot read {path}: {error.strerror}") from None
    if not accept_missing:
        _refuse_if_most_lack_all(collected, path, session)
    return collected


@contextmanager
def _listing(root: Path, session: Session, layout: str | None) -> Iterator[Listing | None]:
    """What to collect from; None for an archive that is one student's."""
    if root.is_dir():
        inner = _only_archive(root)
        if inner is None:
            yield FolderListing(root)
            return
        with _listing(inner, session, layout) as found:
            yield found if found is not None else FolderListing(root)
        return
    with root.open("rb") as file:
        try:
            listing = ZipListing(root.name, file)
        except SubmissionError:
            if layout is not None:
                raise
            yield None
            return
        yield listing if layout is not None or _recognized(listing, session) else None


def _only_archive(root: Path) -> Path | None:
    """The one archive in a folder, at most beside loose files: perhaps a platform's download."""
    paths = [root / name for name in os.listdir(root) if not is_junk_name(name)]  # noqa: PTH208
    archives = [path for path in paths if archive_suffix(path.name)]
    if len(archives) != 1 or not all(path.is_file() and not path.is_symlink() for path in paths):
        return None
    return archives[0]


# ---- which layout --------------------------------------------------------------------------------


def _top(listing: Listing, folder: str, session: Session) -> DownloadFolder:
    entries = tuple(e for e in listing.entries(folder) if not _is_beside(e.name))
    return DownloadFolder(listing, folder, entries, session)


def _is_beside(name: str) -> bool:
    """What lies in every folder and is nobody's; a name with a dot may still be a student's."""
    return name in plain.LEFT_BY_TOOLS - {clones.GIT} or (
        is_junk_name(name) and not is_hidden(name)
    )


def _descents(listing: Listing, session: Session) -> Iterator[DownloadFolder]:
    """The top, and below it the folders that lie in a folder alone."""
    top = _top(listing, "", session)
    yield top
    for _ in range(_LEVELS):
        if len(top.entries) != 1 or not top.entries[0].is_folder:
            return
        top = _top(listing, top.path(top.entries[0].name), session)
        yield top


def _recognized(listing: Listing, session: Session) -> tuple[Layout, DownloadFolder] | None:
    for top in _descents(listing, session):
        for layout in _SPECIFIC:
            if layout.recognizes(top):
                return layout, top
    return None


def _collected(
    path: Path,
    root: Path,
    listing: Listing,
    session: Session,
    limits: ArchiveLimits,
    wanted: str | None,
) -> Collected:
    layout, top = _given(listing, session, wanted) if wanted else (None, None)
    if layout is None or top is None:
        layout, top = _recognized(listing, session) or (
            plain.LAYOUT,
            _top(listing, "", session),
        )
    if layout is plain.LAYOUT and root.is_dir() and _is_one(path, top, session):
        return Collected((read_submission(root, session, limits),))
    claim = layout.claim(top)
    rest = Claimed()
    if layout is not plain.LAYOUT and claim.candidates:
        left = tuple(e for e in top.entries if e.name not in claim.taken and e.name != clones.GIT)
        rest = plain.claim(replace(top, entries=left))
    choices = attempts.choose([*claim.candidates, *rest.candidates])
    if not choices:
        raise SubmissionError(_nothing(path, layout))
    if layout is clones.LAYOUT:
        limits = clones.limits_of_clone(limits)
    submissions, lines = read_all(choices, listing, layout.name, session, limits)
    return Collected(tuple(submissions), (*claim.lines, *rest.lines, *lines), layout.name)


def _given(listing: Listing, session: Session, name: str) -> tuple[Layout, DownloadFolder]:
    """A layout that was asked for, and the first folder where something is named so."""
    layout = LAYOUTS[name]
    tops = list(_descents(listing, session))
    if layout is plain.LAYOUT:
        return layout, tops[0]
    return layout, next((each for each in tops if layout.claim(each).candidates), tops[0])


def _nothing(path: Path, layout: Layout) -> str:
    if layout is plain.LAYOUT:
        return f"no submissions in {path}: expected one folder or archive per student"
    return (
        f"no submissions in {path}: nothing in it is named like {layout.title} "
        f"({layout.names_look_like}); try without --layout"
    )


def _is_one(path: Path, top: DownloadFolder, session: Session) -> bool:
    """Whether the folder is itself a submission; SubmissionError if it seems to be both."""
    visible = [entry for entry in top.entries if not is_hidden(entry.name)]
    listed = {*session.required_files, session.folder}
    own = [entry.name for entry in visible if entry.name in listed]
    others = [
        entry.name
        for entry in visible
        if entry.name not in own and _may_be_one(top, entry.name, session)
    ]
    if (own or clones.GIT in top.names()) and not others:
        return True
    if session.folder in own or set(session.required_files) <= set(own):
        raise SubmissionError(
            f"{path} holds both a submission ({quoted(own[0])}) "
            f"and submissions ({quoted(others[0])}); keep them apart"
        )
    return False


def _may_be_one(top: DownloadFolder, name: str, session: Session) -> bool:
    """Whether this is an archive, or a folder with a listed file at its top or one level below."""
    wanted = set(session.required_files)
    inside = top.names(name)
    if not inside:
        return bool(archive_suffix(name))
    return bool(wanted & inside or wanted & top.names(f"{name}/{session.folder}"))


# ---- before zeros are written --------------------------------------------------------------------


def _refuse_if_most_lack_all(collected: Collected, path: Path, session: Session) -> None:
    submissions: Sequence[Submission] = collected.submissions
    lacking = [s for s in submissions if not s.files and not _is_ambiguous(s, collected)]
    if len(submissions) < 2 or 2 * len(lacking) <= len(submissions):
        return
    layout = LAYOUTS[collected.layout]
    raise InputErrors(
        f"{len(lacking)} of {len(submissions)} submissions in {path} have none of "
        f"{', '.join(session.required_files)}, so nobody was graded. They were read as "
        f"{layout.title}; see --layout, and the session's name. If zeros are right: "
        "--accept-missing",
        [_seen(submission) for submission in lacking[:_EXAMPLES]],
    )


def _is_ambiguous(submission: Submission, collected: Collected) -> bool:
    """Whether it is one of several that may be the same student's: its files are not missing."""
    return any(line in collected.errors for line in submission.problems)


def _seen(submission: Submission) -> str:
    seen = ", ".join(map(quoted, submission.ignored[:_EXAMPLES]))
    because = f": {submission.problems[0]}" if submission.problems else ""
    return f"{quoted(submission.student)} has {seen or 'no file that could be read'}{because}"


__all__ = ["LAYOUTS", "Collected", "collect"]
