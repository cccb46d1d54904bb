"""nbgrader's `submitted/STUDENT/ASSIGNMENT/…` with timestamp.txt: a course folder, or submitted/.

timestamp.txt holds `2027-01-25 22:59:00.123456 UTC`; as in nbgrader, a time without a zone is UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from autograder.course import Session
from autograder.errors import SubmissionError
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
    listed,
    utc,
)
from autograder.submissions.identity import quoted
from autograder.submissions.junk import is_junk_name

SUBMITTED = "submitted"
TIMESTAMP = "timestamp.txt"
_MAX_BYTES = 1_000


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per student who has the session's assignment."""
    students = _students(top)
    assignments = {name: _assignments(students, name) for name in _names(students)}
    known = sorted({each for found in assignments.values() for each in found})
    if not known:
        return Claimed()
    assignment = _chosen(known, top.session)
    candidates, lines = [], []
    for student, found in assignments.items():
        if assignment in found:
            candidates.append(_candidate(students, student, assignment))
        else:
            lines.append(f"{quoted(student)} has not submitted {quoted(assignment)}")
    taken = top.names() if students is not top else frozenset(assignments)
    return Claimed(tuple(candidates), taken, tuple(lines))


def _students(top: DownloadFolder) -> DownloadFolder:
    """The folder whose names are students."""
    if not any(entry.name == SUBMITTED and entry.is_folder for entry in top.entries):
        return top
    folder = top.path(SUBMITTED)
    return DownloadFolder(top.listing, folder, top.listing.entries(folder), top.session)


def _names(students: DownloadFolder) -> list[str]:
    return [e.name for e in students.entries if e.is_folder and not is_junk_name(e.name)]


def _assignments(students: DownloadFolder, student: str) -> list[str]:
    entries = students.listing.entries(students.path(student))
    return [e.name for e in entries if e.is_folder and not is_junk_name(e.name)]


def _chosen(known: list[str], session: Session) -> str:
    for name in (session.id, session.folder):
        if name in known:
            return name
    if len(known) == 1:
        return known[0]
    raise SubmissionError(
        f"none of the assignments {listed(known)} is named {session.id} or {session.folder}; "
        f"give the folder of one student's, or rename the assignment"
    )


def _candidate(students: DownloadFolder, student: str, assignment: str) -> Candidate:
    folder = students.path(f"{student}/{assignment}")
    moment, note = _time(students, f"{folder}/{TIMESTAMP}")
    return Candidate(
        raw=student,
        name=student,
        shown=quoted(f"{student}/{assignment}/"),
        parts=(Part(folder, is_folder=True),),
        platform_id=student,
        submitted_at=moment,
        download=f"{student}/{assignment}/",
        notes=(note,) if note else (),
    )


def _time(students: DownloadFolder, path: str) -> tuple[str | None, str]:
    try:
        text = students.listing.file(path, _MAX_BYTES).decode("utf-8").strip()
    except (SubmissionError, OSError, KeyError, UnicodeDecodeError):
        return None, f"no time of submission: there is no {TIMESTAMP} that can be read"
    moment = parse_timestamp(text)
    if moment is None:
        return None, f"{TIMESTAMP} holds no time that can be read: {quoted(text)}"
    return utc(moment), ""


def parse_timestamp(text: str) -> datetime | None:
    """A time as nbgrader writes it; None if it is none, or in a zone that is not known."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        date, _, zone = text.rpartition(" ")
    try:
        return datetime.fromisoformat(date).replace(tzinfo=_zone(zone))
    except (ValueError, OSError, KeyError):
        return None


def _zone(name: str) -> tzinfo:
    return UTC if name in ("UTC", "GMT", "Z") else ZoneInfo(name)


def _recognizes(top: DownloadFolder) -> bool:
    """A folder with submitted/ in it, or students' folders that hold this assignment or a stamp."""
    students = _students(top)
    found = [(name, each) for name in _names(students) for each in _assignments(students, name)]
    if students is not top:
        return bool(found)
    own = (top.session.id, top.session.folder) if top.name == SUBMITTED else ()
    return any(each in own or TIMESTAMP in top.names(f"{name}/{each}") for name, each in found)


LAYOUT = Layout(
    "nbgrader", "nbgrader's folders", "submitted/STUDENT/ASSIGNMENT/", claim, _recognizes
)
