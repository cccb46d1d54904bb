"""Canvas' "Download submissions": loose files and archives, one name per attachment.

`lovelaceada_12345_67890_metrics.py`: the sortable name, the user's id, the attachment's id, the
file's name; `_LATE` stands behind the name of a late one, `anon_x7Gh2` in place of name and id
where marking is anonymous. A file that was uploaded again is `metrics-1.py`, then `metrics-2.py`.
Online text is `…_12345_text.html`, a link `…_12345_link.html`. No time is carried. Names:
Canvas' lib/content_zipper.rb.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from autograder.course import Session
from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
    mostly,
)
from autograder.submissions.identity import quoted

_NAME = re.compile(
    r"(?:(?P<name>.+?)(?P<late>_LATE)?_(?P<id>\d+)|(?P<anonymous_late>LATE_)?anon_(?P<anonymous>\w{5}))"
    r"_(?:(?P<attachment>\d+)_(?P<file>.+)|(?P<entry>text|link)\.html)",
    re.DOTALL,
)
_AGAIN = re.compile(r"(?P<stem>.+)-(?P<number>\d+)(?P<suffix>\.[^.]+)", re.DOTALL)


@dataclass(frozen=True)
class _Attachment:
    """One file; `name` without what Canvas added, `upload` counts from 0, `id` grows with time."""

    entry: str
    name: str
    upload: int
    id: int


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per user, with the last upload of each file."""
    by_user: dict[tuple[str, str], list[re.Match[str]]] = defaultdict(list)
    taken = set()
    for entry in top.entries:
        match = None if entry.is_folder else _NAME.fullmatch(entry.name)
        if match:
            taken.add(entry.name)
            name, user = match["name"] or "anonymous", match["id"] or match["anonymous"]
            by_user[name, user].append(match)
    candidates = [_candidate(top, *key, found) for key, found in by_user.items()]
    return Claimed(tuple(candidates), frozenset(taken))


def _candidate(top: DownloadFolder, name: str, user: str, found: list[re.Match[str]]) -> Candidate:
    attachments = [_attachment(match, top.session) for match in found if match["file"]]
    attachments.sort(key=lambda each: (each.upload, each.id))
    last = {each.name: each for each in attachments}
    earlier = [each for each in attachments if last[each.name] is not each]
    notes = [f"{quoted(each.entry)} is an earlier attempt and was not graded" for each in earlier]
    notes += [f"{quoted(m.string)} was not read" for m in found if m["entry"]]
    if any(match["late"] or match["anonymous_late"] for match in found):
        notes.append("Canvas marks it LATE; its download carries no times, so give --times")
    uploads = [each.upload for each in last.values()]
    newest = max(last.values(), key=lambda each: each.id, default=None)
    first = newest.entry if newest else found[0].string
    return Candidate(
        raw=f"{name} {user}",
        name=name,
        shown=quoted(first),
        parts=tuple(
            Part(top.path(each.entry), name="" if archive_suffix(each.name) else each.name)
            for each in last.values()
        ),
        platform_id=user,
        attempt=1 + max(uploads) if any(uploads) else None,
        download=_download(first),
        notes=tuple(notes),
    )


def _attachment(match: re.Match[str], session: Session) -> _Attachment:
    """What an attachment's name says; `-1` counts where it is Canvas' and not the student's."""
    name, upload = match["file"], 0
    again = _AGAIN.fullmatch(name)
    if again:
        plain = again["stem"] + again["suffix"]
        if plain in session.required_files or archive_suffix(plain):
            name, upload = plain, int(again["number"][:6])
    return _Attachment(match.string, name, upload, int(match["attachment"][:18]))


def _download(entry: str) -> str:
    """The name of an attachment up to the file's own."""
    match = _NAME.fullmatch(entry)
    return entry[: match.start("file")] if match and match["file"] else ""


def _students(top: DownloadFolder) -> int:
    claimed = claim(top)
    return len(claimed.candidates) if mostly(len(claimed.taken), len(top.entries)) else 0


LAYOUT = Layout(
    "canvas", "Canvas' download", "lovelaceada_12345_67890_metrics.py", claim, _students
)
