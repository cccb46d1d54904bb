"""Which candidates are one student's, and which of them counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autograder.submissions import identity
from autograder.submissions.collect.candidate import Candidate


@dataclass(frozen=True)
class Choice:
    """The candidate of one student that counts; with a `problem` none does, and all get it."""

    candidates: tuple[Candidate, ...]
    problem: str = ""


def choose(candidates: Iterable[Candidate]) -> list[Choice]:
    """One choice per student: the last attempt where the download shows which one that is."""
    return [_choice(group) for group in _by_student(list(candidates))]


def _by_student(candidates: Sequence[Candidate]) -> list[list[Candidate]]:
    """Candidates that may be the same student's: of one id, or of one name where one has no id.

    Those whose records would be one file as well: a folder `Ada Lovelace 11` beside Moodle's
    `Ada Lovelace_11_assignsubmission_file_`.
    """
    groups: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    by_name: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        by_name[identity.same_student_key(candidate.name)].append(candidate)
    for candidate in candidates:
        key = identity.same_student_key(candidate.name)
        same = by_name[key]
        told_apart = all(each.platform_id for each in same)
        groups[key, candidate.platform_id if told_apart else ""].append(candidate)
    return _joined(groups.values())


def _joined(groups: Iterable[list[Candidate]]) -> list[list[Candidate]]:
    """Groups without a record in common: those that had one are one group."""
    owner: dict[str, list[Candidate]] = {}
    for group in groups:
        records = [identity.normal(candidate.raw) for candidate in group]
        others = {id(owner[record]): owner[record] for record in records if record in owner}
        joined = [candidate for each in (*others.values(), group) for candidate in each]
        owner.update((identity.normal(candidate.raw), joined) for candidate in joined)
    return list({id(group): group for group in owner.values()}.values())


def _choice(group: Sequence[Candidate]) -> Choice:
    if len(group) == 1:
        return Choice(tuple(group))
    orders = [candidate.order for candidate in group]
    if None not in orders and len(set(orders)) == len(orders):
        *earlier, last = sorted(group, key=lambda each: each.order or (0.0, 0))
        notes = [f"{each.shown} is an earlier attempt and was not graded" for each in earlier]
        return Choice((replace(last, notes=(*last.notes, *notes)),))
    shown = " and ".join(candidate.shown for candidate in group)
    problem = f"{shown} may be the same student's; none was graded, {identity.KEEP_ONE}"
    return Choice(tuple(group), problem)
