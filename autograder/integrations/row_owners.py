"""Whose a row of a gradebook is: each report finds one row, or a line says why it has none.

A grade in the wrong row is somebody else's, so nothing is taken for the first of several.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autograder.errors import AutograderError
from autograder.grading.roster import (
    MOODLE,
    PLATFORMS,
    Person,
    Roster,
    differ,
    may_be_one,
    name_keys,
)
from autograder.integrations.gradebook import Sheet
from autograder.records import Report
from autograder.submissions.identity import quoted, same_student_key, some_of


@dataclass(frozen=True)
class Entry:
    """What a row says of its student; `row` counts from 1, the header's."""

    row: int
    platform_id: str
    logins: tuple[str, ...]
    name: str

    def __str__(self) -> str:
        return f"row {self.row}, {quoted(self.name)}"


@dataclass(frozen=True)
class Matched:
    """The report of each row that has one, by the number of the row, and lines on the rest."""

    reports: Mapping[int, Report]
    lines: tuple[str, ...]


def match(
    sheet: Sheet,
    entries: Sequence[Entry],
    reports: Sequence[Report],
    roster: Roster | None,
    layout: str,
) -> Matched:
    """Give each report its row: by ids first, then by logins, then by names among what is left.

    A report and a row are of one student if only these two fit, and never where the platform gave
    them different ids. What is not so is a line. AutograderError if no report has a row.
    """
    enrolled = {person.student: person for person in (roster.people if roster else ())}
    candidates = [_Candidate(each, enrolled.get(each.student), layout) for each in reports]
    found: dict[int, Report] = {}
    lines: list[str] = []
    left = list(entries)
    for way in _WAYS:
        pairs = _pairs(left, candidates, way, layout)
        rivals = Counter(each.report.slug for fitting in pairs.values() for each in fitting)
        for entry, fitting in pairs.items():
            if len(fitting) == 1 and rivals[fitting[0].report.slug] == 1:
                found[entry.row] = fitting[0].report
                if way is _names and (line := fitting[0].other_email(entry)):
                    lines.append(line)
            else:
                shown = " or ".join(quoted(each.report.student) for each in fitting)
                also = "" if len(fitting) > 1 else ", and so may another row"
                lines.append(f"{entry}: may be {shown}{also}; left as it is")
        left = [entry for entry in left if entry not in pairs]
        candidates = [each for each in candidates if each.report.slug not in rivals]
    lines += _namesakes(left, candidates)
    given = {report.slug for report in found.values()}
    lost = [quoted(each.student) for each in reports if each.slug not in given]
    if reports and not found:
        why = f"({', '.join(lost[:3])}, …): is it of another course?"
        why = f"for sure; the first: {lines[0]}" if lines else why
        raise AutograderError(
            f"{sheet.name}: none of its rows is one of the {len(lost)} students here {why}"
        )
    if lost:
        lines.append(f"no row in {sheet.name}: {some_of(lost)}")
    return Matched(found, tuple(lines))


class _Candidate:
    """A report, and all that may be said of its student in a row."""

    def __init__(self, report: Report, enrolled: Person | None, layout: str) -> None:
        identity = report.identity
        here = identity.layout == layout
        self.report = report
        self.own_id = identity.platform_id if here else ""
        """The id in this platform's download: it is the platform's own word."""
        self.roster_id = ""
        if enrolled is not None and not self.own_id:
            self.roster_id = enrolled.ids.get(PLATFORMS.get(layout, ""), "")
        self.emails = {identity.email, enrolled.email if enrolled else ""} - {""}
        downloaded = identity.download.partition("_")[0] if here and layout == MOODLE else ""
        names = (identity.name or report.student, enrolled.name if enrolled else "", downloaded)
        self.names = {name for name in names if name}

    def is_another(self, entry: Entry, layout: str) -> bool:
        """Whether the platform's id says that this is another student.

        Moodle's in a roster does not: it may be that of another assignment.
        """
        sure = self.own_id or ("" if layout == MOODLE else self.roster_id)
        return differ(sure, entry.platform_id)

    def has_another_name(self, entry: Entry) -> bool:
        """Whether no name of the student resembles the row's."""
        return bool(entry.name) and not any(may_be_one(name, entry.name) for name in self.names)

    def other_email(self, entry: Entry) -> str:
        """A line if the row was found by a name, but has another e-mail."""
        theirs = [login for login in entry.logins if "@" in login]
        if not theirs or not self.emails:
            return ""
        own = " or ".join(sorted(map(quoted, self.emails)))
        return f"{entry}: found by this name, though its e-mail is {quoted(theirs[0])}, not {own}"


# Each gives the keys under which a row and a report may meet.


def _own_ids(of: Entry | _Candidate) -> set[str]:
    return {of.platform_id if isinstance(of, Entry) else of.own_id}


def _roster_ids(of: Entry | _Candidate) -> set[str]:
    return {of.platform_id if isinstance(of, Entry) else of.roster_id}


def _logins(of: Entry | _Candidate) -> set[str]:
    return set(of.logins) if isinstance(of, Entry) else {*of.emails, of.report.student}


def _names(of: Entry | _Candidate) -> set[str]:
    names = {of.name} if isinstance(of, Entry) else {*of.names, of.report.student}
    return {key for name in names for key in name_keys(name)}


_Way = Callable[[Entry | _Candidate], set[str]]
_WAYS: tuple[_Way, ...] = (_own_ids, _roster_ids, _logins, _names)


def _pairs(
    entries: Iterable[Entry], candidates: Iterable[_Candidate], way: _Way, layout: str
) -> dict[Entry, list[_Candidate]]:
    """The candidates that fit each row in one way; rows that none fits are left out.

    A number of Moodle's is a team's in the download of a team, and may be that of another
    assignment in a roster: it does not fit where the names are different ones.
    """
    by_key: dict[str, list[_Candidate]] = defaultdict(list)
    for candidate in candidates:
        for key in _keys(way(candidate)):
            by_key[key].append(candidate)
    by_number = layout == MOODLE and way in (_own_ids, _roster_ids)
    pairs: dict[Entry, list[_Candidate]] = {}
    for entry in entries:
        near = {each.report.slug: each for key in _keys(way(entry)) for each in by_key[key]}
        fitting = [
            each
            for each in near.values()
            if not each.is_another(entry, layout)
            and not (by_number and each.has_another_name(entry))
        ]
        if fitting:
            pairs[entry] = fitting
    return pairs


def _keys(values: Iterable[str]) -> set[str]:
    return {same_student_key(value) for value in values} - {""}


def _namesakes(entries: Iterable[Entry], candidates: Sequence[_Candidate]) -> Iterator[str]:
    """Lines on rows without a report that have a name of one, but another id."""
    by_key = {key: each for each in candidates for key in _keys(_names(each))}
    for entry in entries:
        near = (by_key[key] for key in _keys(_names(entry)) if key in by_key)
        if (each := next(near, None)) is not None:
            own = quoted(each.own_id or each.roster_id)
            yield (
                f"{entry}: has the name of {quoted(each.report.student)}, but the id "
                f"{quoted(entry.platform_id)}, not {own}; left as it is"
            )
