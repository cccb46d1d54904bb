"""Moodle's "Download all submissions", unpacked or as the zip that it is.

In folders, as of Moodle 3.1: `Ada Lovelace_12345_assignsubmission_file_/metrics.py`, since 4.1
without the last underscore. Without folders: `Ada Lovelace_12345_assignsubmission_file_metrics.py`.
The number is Moodle's participant id, the one of its grading worksheet; for a team it is the
group's, and the name the group's too. No time is carried. Names: mod_assign\\downloader.
"""

from __future__ import annotations

import re
from collections import defaultdict

from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
    mostly,
)
from autograder.submissions.collect.listing import FolderEntry
from autograder.submissions.identity import quoted

_NAME = re.compile(
    r"(?P<name>[^_]+)(?:_(?P<id>\d+))?_assign(?P<kind>submission|feedback)_(?P<plugin>[a-z0-9]+)"
    r"(?:_(?P<file>.*))?",
    re.DOTALL,
)


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per participant, from all folders and files that bear the id."""
    by_student: dict[tuple[str, str], list[tuple[FolderEntry, re.Match[str]]]] = defaultdict(list)
    taken = set()
    for entry in top.entries:
        if match := _NAME.fullmatch(entry.name):
            taken.add(entry.name)
            by_student[match["name"].strip(), match["id"] or ""].append((entry, match))
    candidates = [_candidate(top, *key, found) for key, found in by_student.items()]
    return Claimed(tuple(candidates), frozenset(taken))


def _candidate(
    top: DownloadFolder, name: str, platform_id: str, found: list[tuple[FolderEntry, re.Match[str]]]
) -> Candidate:
    parts, notes, download = [], [], ""
    for entry, match in found:
        if match["kind"] == "feedback":
            continue
        if match["plugin"] == "file":
            file = "" if entry.is_folder or archive_suffix(entry.name) else match["file"] or ""
            parts.append(Part(top.path(entry.name), entry.is_folder, file))
        else:
            what = "online text" if match["plugin"] == "onlinetext" else match["plugin"]
            notes.append(f"{what} in {quoted(entry.name)} was not read")
        download = download or _download(entry, match)
    return Candidate(
        raw=f"{name} {platform_id}".strip(),
        name=name,
        shown=quoted(found[0][0].name + ("/" if found[0][0].is_folder else "")),
        parts=tuple(parts),
        platform_id=platform_id,
        download=download,
        notes=tuple(notes),
    )


def _download(entry: FolderEntry, match: re.Match[str]) -> str:
    """What the names of a participant's files begin with."""
    if entry.is_folder:
        return f"{entry.name}/"
    return entry.name[: match.start("file")] if match["file"] else f"{entry.name}_"


def _students(top: DownloadFolder) -> int:
    claimed = claim(top)
    return len(claimed.candidates) if mostly(len(claimed.taken), len(top.entries)) else 0


LAYOUT = Layout(
    "moodle",
    "Moodle's download",
    "Name_12345_assignsubmission_file_",
    claim,
    _students,
)
