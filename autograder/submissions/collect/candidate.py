"""What a layout makes of the names in a download: candidates, one per student."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from autograder.course import Session
from autograder.submissions.collect.listing import FolderEntry, Listing
from autograder.submissions.identity import quoted


@dataclass(frozen=True)
class Part:
    """A folder, an archive or a loose file of a submission: `path` in the listing.

    `name` is what a loose file is called in the submission; the other two have none.
    """

    path: str
    is_folder: bool = False
    name: str = ""


@dataclass(frozen=True)
class Candidate:
    """A folder or files that may be a submission, and whose the download says they are.

    `raw` is the name that the record's file name is made of, `name` the student's as it stands
    there, and `shown` what the candidate is called in messages. `order` says which of one student's
    candidates is the last (None: there is no telling); `group` is common to one piece of work of
    several students.
    """

    raw: str
    name: str
    shown: str
    parts: tuple[Part, ...]
    platform_id: str = ""
    attempt: int | None = None
    submitted_at: str | None = None
    order: tuple[float, int] | None = None
    download: str = ""
    email: str = ""
    group: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claimed:
    """The candidates of a layout, the names that it has taken, and lines on what is wrong.

    `place` is the folder of those names, where it is not the one that the layout was given.
    """

    candidates: tuple[Candidate, ...] = ()
    taken: frozenset[str] = frozenset()
    lines: tuple[str, ...] = ()
    place: DownloadFolder | None = None


@dataclass(frozen=True)
class DownloadFolder:
    """Where a layout looks: a folder of a listing, and what lies directly in it."""

    listing: Listing
    folder: str
    entries: tuple[FolderEntry, ...]
    session: Session

    @property
    def name(self) -> str:
        """The name of the folder itself."""
        return self.folder.rpartition("/")[2] or self.listing.name

    def path(self, name: str) -> str:
        """The path in the listing of a name in this folder."""
        return f"{self.folder}/{name}" if self.folder else name

    def names(self, below: str = "") -> frozenset[str]:
        """All names in this folder, or in one of its folders."""
        if not below:
            return frozenset(entry.name for entry in self.entries)
        return frozenset(entry.name for entry in self.listing.entries(self.path(below)))


@dataclass(frozen=True)
class Layout:
    """One form in which submissions come: `name` is the value of --layout.

    `names_look_like` completes "… is not named like". `claim` takes what is named so. `students`
    says how many students a folder of this layout names, from names alone; 0 for any other folder.
    """

    name: str
    title: str
    names_look_like: str
    claim: Callable[[DownloadFolder], Claimed]
    students: Callable[[DownloadFolder], int]


def mostly(count: int, of: int) -> bool:
    """Whether at least half of so many are."""
    return count > 0 and 2 * count >= of


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(quoted(name) for name in names)


def utc(moment: datetime) -> str:
    """A time of a platform in ISO 8601; a time without a zone is UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.isoformat()
