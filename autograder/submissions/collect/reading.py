"""Candidates become `Submission` records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from autograder.course import ArchiveLimits, Session
from autograder.errors import SubmissionError
from autograder.records import Identity
from autograder.submissions import identity
from autograder.submissions.collect.attempts import Choice
from autograder.submissions.collect.candidate import Candidate, Part
from autograder.submissions.collect.listing import Listing
from autograder.submissions.members import Member
from autograder.submissions.submission import (
    Submission,
    assess,
    max_sizes,
    ungraded,
    unreadable,
)
from autograder.text_safety import clean_line


def read_all(
    choices: Sequence[Choice],
    listing: Listing,
    layout: str,
    session: Session,
    limits: ArchiveLimits,
) -> tuple[list[Submission], list[str]]:
    """One record per student, by name, and lines on what had to be decided."""
    candidates = [each for choice in choices for each in choice.candidates]
    slugs = identity.slugs(candidate.raw for candidate in candidates)
    namesakes = Counter(candidate.name for candidate in candidates)
    submissions: dict[str, Submission] = {}
    lines = [choice.problem for choice in choices if choice.problem]
    for choice in choices:
        for candidate in choice.candidates:
            if slugs[candidate.raw] in submissions:
                continue  # of one name, and none is graded: the platform's comes first
            if choice.problem:
                submission = ungraded(candidate.raw, choice.problem)
            else:
                submission = _read(candidate, listing, session, limits)
            shown = candidate.raw if namesakes[candidate.name] > 1 else candidate.name
            submissions[slugs[candidate.raw]] = replace(
                submission,
                student=identity.display_name(shown),
                slug=slugs[candidate.raw],
                submitted_at=candidate.submitted_at,
                notes=(*candidate.notes, *submission.notes),
                identity=_identity(candidate, layout),
                group=candidate.group,
            )
    lines += _longer_slugs(candidates, slugs)
    return sorted(submissions.values(), key=lambda s: (s.student, s.slug)), lines


def _read(
    candidate: Candidate, listing: Listing, session: Session, limits: ArchiveLimits
) -> Submission:
    try:
        members = list(_members(candidate.parts, listing, session, limits))
    except (SubmissionError, OSError) as error:
        return unreadable(candidate.raw, candidate.shown.replace("/'", "'"), error)
    return assess(candidate.raw, members, session, limits)


def _members(
    parts: Sequence[Part], listing: Listing, session: Session, limits: ArchiveLimits
) -> Iterator[Member]:
    """All files of a candidate; the content of its only folder or archive lies at the top."""
    sizes = max_sizes(session, limits)
    for part in parts:
        name = part.path.rpartition("/")[2]
        if part.is_folder:
            yield from listing.members(part.path, limits, sizes)
        elif part.name:
            yield _loose(part.path, part.name, listing, sizes.get(part.name, -1))
        elif len(parts) == 1:
            yield from listing.archive(part.path, limits, sizes)
        else:
            yield _loose(part.path, name, listing, limits.max_bytes)


def _loose(path: str, name: str, listing: Listing, most: int) -> Member:
    """A file that lies beside others, of this student or of the class; read up to `most` bytes."""
    if most < 0:
        return Member(name)
    try:
        data = listing.file(path, most)
    except (SubmissionError, OSError) as error:
        return Member(name, reason=str(error))
    return Member(name, len(data), data)


def _identity(candidate: Candidate, layout: str) -> Identity:
    return Identity(
        name=identity.display_name(candidate.name),
        email=clean_line(candidate.email, identity.MAX_NAME),
        layout=layout,
        platform_id=clean_line(candidate.platform_id, identity.MAX_NAME),
        attempt=candidate.attempt,
        download=candidate.download,
    )


def _longer_slugs(candidates: Iterable[Candidate], slugs: dict[str, str]) -> list[str]:
    """A line for each set of names whose short slugs would be one file."""
    shared: dict[str, list[str]] = defaultdict(list)
    for candidate in candidates:
        short = identity.slug(candidate.raw)
        if slugs[candidate.raw] != short:
            shared[short].append(candidate.shown)
    return [
        f"{' and '.join(names)} would share one results file; theirs have longer names"
        for names in shared.values()
    ]
