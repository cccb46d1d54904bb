"""Submissions under the names of the roster; a group's work becomes one submission per member."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from autograder.grading.roster import PLATFORMS, People, Person, Roster
from autograder.records import Identity, Report
from autograder.submissions import Submission
from autograder.submissions.identity import quoted, slugs
from autograder.submissions.submission import ungraded


@dataclass(frozen=True)
class Enrolled:
    """Submissions by the roster's students, and lines on what did not fit."""

    submissions: tuple[Submission, ...]
    lines: tuple[str, ...] = ()


@dataclass
class _Unit:
    """One student, or one group, and what was submitted by it."""

    people: list[Person]
    group: str
    found: list[tuple[Submission, tuple[Person, ...]]] = field(default_factory=list)


def enrol(submissions: Sequence[Submission], roster: Roster) -> Enrolled:
    """Give each submission to the student, or to all students of the group, whose it is.

    What fits no row, or several, keeps the name of the download and is a line. If there are several
    submissions of one student or group with different contents, the last counts where all have
    times; otherwise none is graded, and the records say why.
    """
    people = People(roster)
    units = _units(roster)
    unknown: list[Submission] = []
    lines: list[str] = []
    for submission in submissions:
        owners = _owners(people, submission)
        names = {_unit_of(person) for person in owners}
        if len(names) == 1:
            units[names.pop()].found.append((submission, owners))
            continue
        unknown.append(submission)
        lines.append(_unplaced(submission, owners))
    made = [each for unit in units.values() if unit.found for each in _made(unit, lines)]
    by_name = slugs(submission.student for submission in made)
    made = [replace(submission, slug=by_name[submission.student]) for submission in made]
    taken = {submission.slug for submission in made}
    for submission in unknown:
        if submission.slug in taken:
            lines.append(f"{quoted(submission.student)} has the name of a record; rename it")
    kept = (submission for submission in unknown if submission.slug not in taken)
    return Enrolled(tuple(sorted((*made, *kept), key=lambda s: (s.student, s.slug))), tuple(lines))


def renamed(former: Iterable[Report], submissions: Sequence[Submission]) -> Iterator[str]:
    """Lines on records whose download others have now, as where a roster came later.

    They may be another name of the same student, or members of the same group.
    """
    slugs = {submission.slug for submission in submissions}
    present: dict[tuple[str, str], list[str]] = defaultdict(list)
    for submission in submissions:
        present[_origin(submission.identity)].append(quoted(submission.student))
    for report in former:
        origin = _origin(report.identity)
        if report.slug not in slugs and origin in present and all(origin):
            names = " and ".join(present[origin])
            yield (
                f"the download of {quoted(report.student)} is now that of {names}: if they are one "
                f"student, remove reports/{report.slug}.json, or both count"
            )


def _origin(identity: Identity) -> tuple[str, str]:
    """What the download calls a student, whatever a roster says."""
    return identity.layout, identity.platform_id or identity.download


def _owners(people: People, submission: Submission) -> tuple[Person, ...]:
    identity = submission.identity
    name = identity.name or submission.student
    if identity.layout == "clones":
        for user in _users(identity):
            if found := people.find(identity.layout, user, "", user):
                return found
        return ()
    return people.find(identity.layout, identity.platform_id, identity.email, name)


def _users(identity: Identity) -> Iterator[str]:
    """Whose CLASSROOM-ASSIGNMENT-USER may be, longest first.

    All clones begin alike, with the assignment, and perhaps with what all users begin with.
    """
    parts = identity.download.rstrip("/").split("-")
    for start in range(len(parts)):
        user = "-".join(parts[start:])
        if len(user) > len(identity.platform_id):
            yield user
    yield identity.platform_id


def _unit_of(person: Person) -> tuple[str, str]:
    return ("group", person.group) if person.group else ("student", person.student)


def _units(roster: Roster) -> dict[tuple[str, str], _Unit]:
    members: dict[tuple[str, str], list[Person]] = defaultdict(list)
    for person in roster.people:
        members[_unit_of(person)].append(person)
    return {
        key: _Unit(found, key[1] if key[0] == "group" else "") for key, found in members.items()
    }


def _unplaced(submission: Submission, owners: Sequence[Person]) -> str:
    name = quoted(submission.student)
    if not owners:
        return f"{name} is not in the roster; graded under this name"
    shown = " or ".join(quoted(person.student) for person in owners)
    return f"{name} may be {shown}; graded under this name, so give platform ids in the roster"


def _made(unit: _Unit, lines: list[str]) -> list[Submission]:
    """What counts, once per member."""
    chosen, problem = _last(unit)
    if problem:
        lines.append(problem)
    key = f"group {unit.group}" if unit.group else chosen.group
    own = {
        person.student: submission
        for submission, owners in unit.found
        if len(owners) == 1
        for person in owners
    }
    return [_of(person, chosen, own.get(person.student), key) for person in unit.people]


def _last(unit: _Unit) -> tuple[Submission, str]:
    """The submission that counts, and a line if there is no telling."""
    found = [submission for submission, _ in unit.found]
    found = [submission for submission in found if submission.files] or found
    if len({submission.sha256 for submission in found}) == 1:
        return min(found, key=_moment), ""
    names = " and ".join(quoted(each.identity.download or each.student) for each in found)
    times = [each.submitted_at for each in found]
    if all(times) and len(set(times)) == len(times):
        *earlier, last = sorted(found, key=_moment)
        notes = [
            f"{quoted(each.identity.download or each.student)} is earlier and was not graded"
            for each in earlier
        ]
        return replace(last, notes=(*last.notes, *notes)), ""
    whose = quoted(unit.group or unit.people[0].student)
    problem = f"{names} are both of {whose}; none was graded, keep one"
    return replace(ungraded(whose, problem), identity=found[0].identity), problem


def _moment(submission: Submission) -> float:
    """When it came in; unknown times last."""
    if submission.submitted_at is None:
        return math.inf
    return datetime.fromisoformat(submission.submitted_at).timestamp()


def _of(person: Person, chosen: Submission, own: Submission | None, group: str) -> Submission:
    """The submission as one member's: named by the roster, with the member's own download.

    What the platform calls another member, or the group, is not the member's.
    """
    source = own.identity if own else replace(chosen.identity, name="", email="", platform_id="")
    known = person.ids.get(PLATFORMS.get(source.layout, ""), "")
    identity = replace(
        source,
        name=person.name or source.name,
        email=person.email or source.email,
        section=person.section,
        group=person.group,
        platform_id=known or source.platform_id,
        attempt=chosen.identity.attempt,
    )
    return replace(chosen, student=person.student, identity=identity, group=group)
