"""Clones of students' repositories, one folder each: what `gh` or a shell loop leaves.

The history is never read: its dates are the student's, so the late policy takes --times.
"""

from __future__ import annotations

import itertools
import re

from autograder.course import Session
from autograder.submissions.collect.candidate import Candidate, Claim, Layout, Part, Place, mostly
from autograder.submissions.identity import quoted

GIT = ".git"
FILES_PER_ARCHIVE = 50
"""So many times the files of an archive may lie in a clone: nothing is unpacked."""


def claim(place: Place) -> Claim:
    """One candidate per folder that holds a repository."""
    clones = [
        entry.name
        for entry in place.entries
        if entry.is_folder and entry.name != GIT and GIT in place.names(entry.name)
    ]
    prefix = _prefix(clones, place.session)
    candidates = [
        Candidate(
            raw=clone[len(prefix) :],
            name=clone[len(prefix) :],
            shown=quoted(f"{clone}/"),
            parts=(Part(place.path(clone), is_folder=True),),
            platform_id=clone[len(prefix) :],
            download=f"{clone}/",
        )
        for clone in clones
    ]
    return Claim(tuple(candidates), frozenset(clones))


def _prefix(clones: list[str], session: Session) -> str:
    """What all names begin with if it names the session: `s1-intro-` of `s1-intro-ada`."""
    first, last = min(clones, default=""), max(clones, default="")
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    common = "".join(char for char, _ in same)
    common = common[: common.rfind("-") + 1]
    words = re.split(r"[^a-z0-9]+", common.casefold())
    folded = "_".join(words)
    named = session.id in words or session.folder in folded
    return common if len(clones) > 1 and named else ""


def _recognizes(place: Place) -> bool:
    folders = [entry for entry in place.entries if entry.is_folder and entry.name != GIT]
    return GIT not in place.names() and mostly(len(claim(place).taken), len(folders))


LAYOUT = Layout(
    "clones", "clones of repositories", "a folder with a .git in it", claim, _recognizes
)
