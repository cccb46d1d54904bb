"""nbgrader's `submitted/STUDENT/ASSIGNMENT/…` with timestamp.txt: a course folder, or submitted/.

timestamp.txt holds `2027-01-25 22:59:00.123456 UTC`; as in nbgrader, a time without a zone is UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from autograder.course import Session
from autograder.errors import SubmissionError
from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
    listed,
    utc,
)
from autograder.submissions.collect.listing import FolderEntry
from autograder.submissions.identity import quoted
from autograder.submissions.junk import is_hidden, is_junk_name

SUBMITTED = "submitted"
TIMESTAMP = "timestamp.txt"
_STEPS = (SUBMITTED, "source", "release", "autograded", "feedback")
_MAX_BYTES = 1_000


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per student who has the session's assignment."""
    students = _submitted(top)
    found = _found(students)
    assignments = _assignments(students, found)
    if not assignments:
        return Claimed()
    assignment = _chosen(assignments, top.session)
    submitted = [student for student, names in found.items() if assignment in names]
    others = [
        student
        for student, names in found.items()
        if student not in submitted and all(name in assignments for name in names)
    ]
    return Claimed(
        tuple(_candidate(students, student, assignment) for student in submitted),
        frozenset((*submitted, *others)),
        (
            *(f"{quoted(student)} has not submitted {quoted(assignment)}" for student in others),
            *(_beside(top) if students is not top else ()),
        ),
        students,
    )


def _beside(course: DownloadFolder) -> Iterator[str]:
    """Lines on what lies in a course's folder beside submitted/ and may be somebody's work."""
    session = course.session
    for name in sorted(e.name for e in course.entries if _may_be_a_students(e)):
        inside = {*course.names(name), *course.names(f"{name}/{session.folder}")}
        if name not in _STEPS and (archive_suffix(name) or inside & {*session.required_files}):
            yield f"{quoted(name)} was skipped: it lies beside {SUBMITTED}/"


def _submitted(top: DownloadFolder) -> DownloadFolder:
    """The folder whose names are students."""
    if not any(entry.name == SUBMITTED and entry.is_folder for entry in top.entries):
        return top
    folder = top.path(SUBMITTED)
    entries = tuple(
        entry
        for entry in top.listing.entries(folder)
        if is_hidden(entry.name) or not is_junk_name(entry.name)
    )
    return DownloadFolder(top.listing, folder, entries, top.session)


def _found(students: DownloadFolder) -> dict[str, list[str]]:
    """The folders of each student who has nothing but folders, as nbgrader leaves it."""
    found = {}
    for student in (entry.name for entry in students.entries if entry.is_folder):
        entries = students.listing.entries(students.path(student))
        visible = [entry for entry in entries if not is_junk_name(entry.name)]
        if not is_junk_name(student) and all(entry.is_folder for entry in visible):
            found[student] = [entry.name for entry in visible]
    return found


def _assignments(students: DownloadFolder, found: Mapping[str, Sequence[str]]) -> list[str]:
    """The folders that are assignments: the session's, those with a time, else those of most."""
    count = Counter(name for names in found.values() for name in names)
    own = count.keys() & {students.session.id, students.session.folder}
    having = sum(1 for names in found.values() if names)
    marked = {n for s, names in found.items() for n in names if _has_time(students, s, n)}
    others = marked or {name for name in count if 2 * count[name] > having}
    return sorted(own | others) or sorted(count)


def _has_time(students: DownloadFolder, student: str, assignment: str) -> bool:
    return TIMESTAMP in students.names(f"{student}/{assignment}")


def _chosen(known: list[str], session: Session) -> str:
    for name in (session.id, session.folder):
        if name in known:
            return name
    if len(known) == 1:
        return known[0]
    raise SubmissionError(
        f"none of the assignments {listed(known)} is named {session.id} or {session.folder}; "
        f"rename the session's, or give --layout plain if these are no assignments of nbgrader's"
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


def _students(top: DownloadFolder) -> int:
    """Where most have folders only in submitted/, or most have a time or this assignment.

    One student's folder is no class, whatever lies in it: unless the class's is submitted/.
    """
    students = _submitted(top)
    found = _found(students)
    own = (top.session.id, top.session.folder) if students.name == SUBMITTED else ()
    if students is top:
        named = [
            student
            for student, names in found.items()
            if any(name in own or _has_time(top, student, name) for name in names)
        ]
    else:
        named = [student for student, names in found.items() if names]
    of = [e for e in students.entries if _may_be_a_students(e)]
    if 2 * len(named) <= len(of) or (len(named) == 1 and students.name != SUBMITTED):
        return 0
    return len(named)


def _may_be_a_students(entry: FolderEntry) -> bool:
    return not is_junk_name(entry.name) and (entry.is_folder or bool(archive_suffix(entry.name)))


LAYOUT = Layout("nbgrader", "nbgrader's folders", "submitted/STUDENT/ASSIGNMENT/", claim, _students)
