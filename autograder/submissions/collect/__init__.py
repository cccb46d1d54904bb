"""From what a platform gives to one `Submission` per student: one collector per layout.

plain        folders and archives, named by their students
moodle       "Download all submissions": folders, loose files, or the zip itself
canvas       "Download submissions": loose files and archives, or the zip itself
gradescope   "Export submissions" with its metadata
nbgrader     submitted/STUDENT/ASSIGNMENT/ with time stamps
clones       one clone of a repository per student

A layout is recognized by its names; what lies beside it and is a folder or an archive is collected
as plain. listing shows folders and zips alike, recognition says which layout a path is in,
candidate is what a collector gives, attempts says which candidate of a student counts, reading
makes records of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course import ArchiveLimits, Session
from autograder.errors import InputErrors, SubmissionError
from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect import attempts, clones, plain
from autograder.submissions.collect.candidate import Claimed, DownloadFolder, Layout
from autograder.submissions.collect.reading import read_all
from autograder.submissions.collect.recognition import LAYOUTS, Reading, reading
from autograder.submissions.identity import quoted
from autograder.submissions.junk import is_hidden
from autograder.submissions.submission import Submission, read_submission

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
        with reading(root, session, LAYOUTS[layout] if layout is not None else None) as read:
            collected = _collected(path, root, read, session, limits)
    except OSError as error:
        raise SubmissionError(f"cannot read {path}: {error.strerror}") from None
    if not accept_missing:
        _refuse_if_most_lack_all(collected, path, session)
    return collected


def _collected(
    path: Path, root: Path, read: Reading, session: Session, limits: ArchiveLimits
) -> Collected:
    layout, top = read.layout, read.top
    if layout is plain.LAYOUT and root.is_dir() and _is_one(path, top, session):
        return Collected((read_submission(root, session, limits),), read.lines)
    claim = layout.claim(top)
    rest = Claimed()
    if layout is not plain.LAYOUT and claim.candidates:
        place = claim.place or top
        left = tuple(e for e in place.entries if e.name not in claim.taken and e.name != clones.GIT)
        rest = plain.claim(replace(place, entries=left))
    others = rest.candidates
    if layout is clones.LAYOUT:
        limits = clones.limits_of_clone(limits)
        others = tuple(clones.beside_clones(candidate, session) for candidate in others)
    choices = attempts.choose([*claim.candidates, *others])
    if not choices:
        raise SubmissionError(_nothing(path, layout))
    submissions, lines = read_all(choices, top.listing, layout.name, session, limits)
    lines = [*read.lines, *claim.lines, *rest.lines, *lines]
    return Collected(tuple(submissions), tuple(lines), layout.name)


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
