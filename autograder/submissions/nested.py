"""Archives inside a submission, opened in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from autograder.course import ArchiveLimits
from autograder.errors import SubmissionError
from autograder.submissions.archive import archive_suffix, check_suffix, parse_archive
from autograder.submissions.identity import KEEP_ONE, quoted
from autograder.submissions.members import Member, UnsafeArchive

MAX_OPENED = 4  # archives per submission
MAX_LEVELS = 2  # an archive in an archive: a platform's, a student's


@dataclass(frozen=True)
class Opened:
    """The members with what archives among them hold, and why others were not opened, by path.

    `unsafe` are lines on those of them that no ordinary tool writes.
    """

    members: tuple[Member, ...]
    failures: Mapping[str, str] = field(default_factory=dict)
    unsafe: tuple[str, ...] = ()


def open_archives(
    members: Iterable[Member], limits: ArchiveLimits, max_sizes: Mapping[str, int]
) -> Opened:
    """Replace archives by their members, each below a folder of the archive's name."""
    opening = _Opening(limits, max_sizes)
    return Opened(opening.expanded(members), opening.failures, tuple(opening.unsafe))


class _Opening:
    def __init__(self, limits: ArchiveLimits, max_sizes: Mapping[str, int]) -> None:
        self._limits, self._max_sizes = limits, max_sizes
        self._opened = 0
        self.failures: dict[str, str] = {}
        self.unsafe: list[str] = []

    def expanded(self, members: Iterable[Member], level: int = 0) -> tuple[Member, ...]:
        result: list[Member] = []
        for member in members:
            if not archive_suffix(member.name) or member.name in self._max_sizes:
                result.append(member)
                continue
            try:
                inside = self._members(member, level)
            except SubmissionError as error:
                self.failures[member.path] = str(error)
                if isinstance(error, UnsafeArchive):
                    self.unsafe.append(f"{quoted(member.path)}: {error}")
                result.append(replace(member, data=None))
            else:
                result += self.expanded(inside, level + 1)
        return tuple(result)

    def _members(self, archive: Member, level: int) -> list[Member]:
        """What an archive holds; SubmissionError without its name if it is not opened."""
        if archive.reason:
            raise SubmissionError(archive.reason)
        check_suffix(archive.name)
        if level >= MAX_LEVELS:
            raise SubmissionError(f"lies in {level} archives; pack the files once")
        if self._opened >= MAX_OPENED:
            raise SubmissionError(f"was not opened after {MAX_OPENED} other archives; {KEEP_ONE}")
        if archive.data is None:
            raise SubmissionError(f"is larger than {self._limits.max_bytes:,} bytes")
        self._opened += 1
        inside = parse_archive(archive.data, self._limits, self._max_sizes)
        return [replace(m, path=f"{archive.path}/{m.path}") for m in inside]
