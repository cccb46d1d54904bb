"""Submissions under the names of the roster; a group's work becomes one submission per member."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from autograder.grading.roster import MOODLE, PLATFORMS, People, Person, Roster, differ, same
from autograder.records import Identity, Report
from autograder.submissions import Submission
from autograder.submissions.identity import KEEP_ONE, quoted, same_student_key, slugs
from autograder.submissions.submission import content_hash, ungraded


def is_undecided(record: Submission | Report) -> bool:
    """Whether several submissions, or several places in one, may be meant, and none was graded."""
    return has_no_file(record) and any(text.endswith(KEEP_ONE) for text in record.problems)


def has_no_file(record: Submission | Report) -> bool:
    """Whether none of the session's files was there, or could be read."""
    own = record.submission_sha256 if isinstance(record, Report) else record.sha256
    return own == content_hash({})


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

    What fits no row, or several, keeps the name of the download and is a line; where that is a name
    of the roster's, it gets another. If there are several submissions of one student or group with
    different contents, the last counts where all have times; otherwise none is graded, and the
    records say why.
    """
    people = People(roster)
    units = _units(roster)
    unknown: list[Submission] = []
    lines: list[str] = []
    enrolled = {same_student_key(person.student) for person in roster.people}
    placed = [(submission, _owners(people, submission)) for submission in submissions]
    doubtful = _of_other_accounts(placed)
    for submission, owners in placed:
        names = {_unit_of(person) for person in owners}
        if len(names) == 1 and submission.slug not in doubtful:
            units[names.pop()].found.append((submission, owners))
            continue
        outside = _outside(submission, enrolled)
        graded = "under this name" if outside is submission else f"as {quoted(outside.student)}"
        unknown.append(outside)
        lines.append(_unplaced(people, submission, owners, graded))
    made = [each for unit in units.values() if unit.found for each in _made(unit, lines)]
    by_name = slugs(submission.student for submission in made)
    made = [replace(submission, slug=by_name[submission.student]) for submission in made]
    taken = {submission.slug for submission in made}
    for submission in unknown:
        if submission.slug in taken:
            lines.append(f"{quoted(submission.student)} has the name of a record; rename it")
    kept = (submission for submission in unknown if submission.slug not in taken)
    return Enrolled(tuple(sorted((*made, *kept), key=lambda s: (s.student, s.slug))), tuple(lines))


def grouped(submissions: Iterable[Submission], roster: Roster) -> list[Submission]:
    """The submissions as they are, those of a group of the roster as the group's."""
    people = People(roster)
    made = []
    for submission in submissions:
        groups = {person.group for person in _owners(people, submission)}
        group = next(iter(groups)) if len(groups) == 1 else ""
        made.append(replace(submission, group=f"group {group}") if group else submission)
    return made


def renamed(former: Iterable[Report], submissions: Sequence[Submission]) -> Iterator[str]:
    """Lines on records whose download others have now, as where a roster came later.

    They may be another name of the same student, or members of the same group.
    """
    slugs = {submission.slug for submission in submissions}
    present: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for submission in submissions:
        for origin in _origins(submission.identity):
            present[origin][submission.slug] = quoted(submission.student)
    for report in former:
        if report.slug in slugs:
            continue
        found = {k: v for each in _origins(report.identity) for k, v in present[each].items()}
        if found:
            yield (
                f"the download of {quoted(report.student)} is now that of "
                f"{' and '.join(found.values())}: if they are one student, remove "
                f"reports/{report.slug}.json, or both count"
            )


def _origins(identity: Identity) -> Iterator[tuple[str, ...]]:
    """What the download calls a student, whatever a roster says: one of two that may stay.

    A name that is shown changes in Moodle's files and not its number, the number of an attachment
    in Canvas' and not the student's. A clone's id is what is left of its name beside the others.
    """
    if identity.layout and identity.download:
        yield identity.layout, "download", identity.download
    if identity.layout and identity.platform_id and identity.layout != "clones":
        yield identity.layout, "id", identity.platform_id


def _owners(people: People, submission: Submission) -> tuple[Person, ...]:
    identity = submission.identity
    if identity.layout == "clones":
        for user in _users(identity):
            if found := people.find(identity.layout, user, "", user):
                return found
        return ()
    return people.find(*_called(submission))


def _called(submission: Submission) -> tuple[str, str, str, str]:
    """Layout, id, e-mail and name, as the download has them."""
    identity = submission.identity
    name = identity.name or submission.student
    return identity.layout, identity.platform_id, identity.email, name


def _is_groups(submission: Submission, person: Person) -> bool:
    """Whether it is in the name of the group, of which this may be the only member."""
    return same(person.group, submission.identity.name or submission.student)


def _of_other_accounts(placed: Iterable[tuple[Submission, tuple[Person, ...]]]) -> frozenset[str]:
    """Slugs of submissions that are given to one student by their name, as are other accounts.

    A platform's ids tell namesakes apart, whom a roster without ids does not. Moodle's in the
    roster count if they are those of this download.
    """
    accounts: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    sure: dict[tuple[str, str], str] = {}
    for submission, owners in placed:
        layout, ident, _, _ = _called(submission)
        if len(owners) != 1 or not ident or layout == "clones":
            continue
        if _is_groups(submission, owners[0]):
            continue
        key = (owners[0].student, layout)
        accounts[key][same_student_key(ident)].append(submission.slug)
        if same(owners[0].ids.get(PLATFORMS.get(layout, ""), ""), ident):
            sure[key] = same_student_key(ident)
    return frozenset(
        slug
        for key, by_id in accounts.items()
        if len(by_id) > 1
        for ident, slugs in by_id.items()
        if ident != sure.get(key)
        for slug in slugs
    )


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


def _outside(submission: Submission, enrolled: Container[str]) -> Submission:
    """The submission of nobody in the roster, under a name that nobody there has."""
    if same_student_key(submission.student) not in enrolled:
        return submission
    name = f"{submission.student} (not in the roster)"
    return replace(submission, student=name, slug=slugs([name])[name])


def _unplaced(people: People, submission: Submission, owners: Sequence[Person], graded: str) -> str:
    name = quoted(submission.student)
    called = _called(submission)
    others = [_unlike(person, *called) for person in owners or people.namesakes(*called)]
    if not owners or (len(owners) == 1 and others[0]):
        because = f": {' and '.join(filter(None, others))}" if any(others) else ""
        return f"{name} is not in the roster{because}; graded {graded}"
    shown = " or ".join(quoted(person.student) for person in owners)
    also = ", and so may others of this name" if len(owners) == 1 else ""
    return f"{name} may be {shown}{also}; graded {graded}, so give platform ids in the roster"


def _unlike(person: Person, layout: str, platform_id: str, email: str, name: str) -> str:
    """Why a row that resembles a submission is not taken for its student; empty for no reason."""
    column = PLATFORMS.get(layout, "")
    known, who = person.ids.get(column, ""), quoted(person.student)
    if same(known, platform_id) and differ(person.name, name):
        return f"{who} has this {column} id, but the name {quoted(person.name)}"
    if differ(known, platform_id) and not same(platform_id, email):
        return f"{who} has the {column} id {quoted(known)}, not {quoted(platform_id)}"
    if differ(person.email, email):
        return f"{who} has the e-mail {quoted(person.email)}, not {quoted(email)}"
    return ""


def _made(unit: _Unit, lines: list[str]) -> list[Submission]:
    """What counts, once per member."""
    chosen, problem = _last(unit)
    if problem:
        lines.append(problem)
    key = f"group {unit.group}" if unit.group else chosen.group
    own = {
        person.student: submission
        for submission, owners in unit.found
        if len(owners) == 1 and not _is_groups(submission, owners[0])
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
    problem = f"{names} are both of {whose}; none was graded, {KEEP_ONE}"
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
    identity = replace(
        source,
        name=person.name or source.name,
        email=person.email or source.email,
        section=person.section,
        group=person.group,
        platform_id=_platform_id(person, source),
        attempt=chosen.identity.attempt,
    )
    return replace(chosen, student=person.student, identity=identity, group=group)


def _platform_id(person: Person, source: Identity) -> str:
    """The download's own id; where it has none, the roster's.

    Moodle's in a roster may be that of another assignment. A clone's is only what is left of its
    name, so the roster knows better.
    """
    known = person.ids.get(PLATFORMS.get(source.layout, ""), "")
    if source.layout == "clones":
        return known or source.platform_id
    return source.platform_id or ("" if source.layout == MOODLE else known)
