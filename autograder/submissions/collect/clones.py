"""Clones of students' repositories, one folder each: what `gh` or a shell loop leaves.

The history is never read: its dates are the student's, so the late policy takes --times.
"""

from __future__ import annotations

import itertools
import re

from autograder.course import ArchiveLimits, Session
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
    mostly,
)
from autograder.submissions.identity import quoted

GIT = ".git"
FILES_PER_ARCHIVE = 50
"""So many times the files of an archive may lie in a clone: nothing is unpacked."""


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per folder that holds a repository."""
    clones = [
        entry.name
        for entry in top.entries
        if entry.is_folder and entry.name != GIT and GIT in top.names(entry.name)
    ]
    prefix = _prefix(clones, top.session)
    candidates = [
        Candidate(
            raw=clone[len(prefix) :],
            name=clone[len(prefix) :],
            shown=quoted(f"{clone}/"),
            parts=(Part(top.path(clone), is_folder=True),),
            platform_id=clone[len(prefix) :],
            download=f"{clone}/",
        )
        for clone in clones
    ]
    return Claimed(tuple(candidates), frozenset(clones))


def limits_of_clone(limits: ArchiveLimits) -> ArchiveLimits:
    """What a clone may hold, where an archive may hold `limits`."""
    return limits.model_copy(update={"max_files": FILES_PER_ARCHIVE * limits.max_files})


def _prefix(clones: list[str], session: Session) -> str:
    """What all names begin with if it names the session: `s1-intro-` of `s1-intro-ada`.

    Of a single clone, up to the session's name.
    """
    if len(clones) == 1:
        words = clones[0].split("-")
        starts = ["-".join(words[:end]) + "-" for end in range(1, len(words))]
        named = (start for by in (_folder_in, _id_in) for start in starts if by(start, session))
        return next(named, "")
    first, last = min(clones, default=""), max(clones, default="")
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(char for char, _ in same)
    common = common[: common.rfind("-") + 1]
    return common if _id_in(common, session) or _folder_in(common, session) else ""


def _words(text: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", text.casefold())


def _id_in(text: str, session: Session) -> bool:
    return session.id in _words(text)


def _folder_in(text: str, session: Session) -> bool:
    return session.folder in "_".join(_words(text))


def _recognizes(top: DownloadFolder) -> bool:
    folders = [entry for entry in top.entries if entry.is_folder and entry.name != GIT]
    return GIT not in top.names() and mostly(len(claim(top).taken), len(folders))


LAYOUT = Layout(
    "clones", "clones of repositories", "a folder with a .git in it", claim, _recognizes
)
