"""Clones of students' repositories, one folder each: what `gh` or a shell loop leaves.

The history is never read: its dates are the student's, so the late policy takes --times.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from autograder.course import ArchiveLimits, Session
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

GIT = ".git"
FILES_PER_ARCHIVE = 50
"""So many times the files of an archive may lie in a clone: nothing is unpacked."""


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per folder that holds a repository."""
    users = {clone: user_of(clone, top.session) for clone in _clones(top)}
    common = _common([user for clone, user in users.items() if user != clone])
    candidates = [
        _candidate(top, clone, user, user.removeprefix(common) if user != clone else user)
        for clone, user in users.items()
    ]
    return Claimed(tuple(candidates), frozenset(users))


def _clones(top: DownloadFolder) -> list[str]:
    return [
        entry.name
        for entry in top.entries
        if entry.is_folder and entry.name != GIT and GIT in top.names(entry.name)
    ]


def _candidate(top: DownloadFolder, clone: str, user: str, platform_id: str) -> Candidate:
    """A clone under the name of its `user`; `platform_id` is what a roster is asked for.

    That is without what all clones have in common, as in `s1-lab-ada` and `s1-lab-bob`. The name
    is not: it would be another one as soon as somebody has no such clone.
    """
    return Candidate(
        raw=user,
        name=user,
        shown=quoted(f"{clone}/"),
        parts=(Part(top.path(clone), is_folder=True),),
        platform_id=platform_id,
        download=f"{clone}/",
    )


def beside_clones(candidate: Candidate, session: Session) -> Candidate:
    """What lies beside clones without a repository in it, named as if it had one."""
    user = user_of(candidate.name, session)
    return replace(candidate, raw=user, name=user, platform_id=user)


def limits_of_clone(limits: ArchiveLimits) -> ArchiveLimits:
    """What a clone may hold, where an archive may hold `limits`."""
    return limits.model_copy(update={"max_files": FILES_PER_ARCHIVE * limits.max_files})


def user_of(name: str, session: Session) -> str:
    """What follows the words for the session in `s1-intro-ada`: its id, folder and title.

    By this name alone, as other clones come and go and a student's record keeps its name. The whole
    name where no word says which session it is, or where nothing else follows.
    """
    parts = name.split("-")
    folder, title = _words(session.folder), _words(session.title)
    slugs = [words for words in ([session.id], folder, title) if words]
    known = {session.id, *folder, *title}
    for start in range(len(parts)):
        following = _words("-".join(parts[start:]))
        if any(following[: len(words)] == words for words in slugs):
            left = itertools.dropwhile(lambda part: known.issuperset(_words(part)), parts[start:])
            return "-".join(left) or name
    return name


def _common(users: list[str]) -> str:
    """The words, with the hyphen behind them, that all of several names begin with."""
    if len(users) < 2:
        return ""
    same = itertools.takewhile(
        lambda words: len(set(words)) == 1, zip(*(u.split("-")[:-1] for u in users), strict=False)
    )
    return "".join(f"{words[0]}-" for words in same)


def of_session(top: DownloadFolder) -> int:
    """How many clones have names that say which session they are for."""
    return sum(user_of(clone, top.session) != clone for clone in _clones(top))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _students(top: DownloadFolder) -> int:
    """At least half; of several folders, one with a repository says nothing of the others.

    Unless its name says which session it is a clone for.
    """
    clones = _clones(top)
    others = [e for e in top.entries if e.name != GIT and (e.is_folder or archive_suffix(e.name))]
    if GIT in top.names() or not mostly(len(clones), len(others)):
        return 0
    if len(clones) == 1 < len(others) and user_of(clones[0], top.session) == clones[0]:
        return 0
    return len(clones)


LAYOUT = Layout("clones", "clones of repositories", "a folder with a .git in it", claim, _students)
