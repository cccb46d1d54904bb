"""Plain folders and archives: each is one student's, and its name the student's.

`submit` appends `_<session id>` to an archive's name; that is taken off.
"""

from __future__ import annotations

from autograder.submissions.archive import archive_suffix
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
)
from autograder.submissions.identity import quoted
from autograder.submissions.junk import is_hidden
from autograder.submissions.submission import student_of

LEFT_BY_TOOLS = frozenset(
    {
        *(".git", ".github", ".gitignore", ".gitattributes", ".hg", ".svn"),
        *("__MACOSX", ".DS_Store", ".Trash", ".Trashes", ".Spotlight-V100", ".fseventsd"),
        *(".ipynb_checkpoints", ".venv", ".vscode", ".idea", ".cache"),
        *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".directory"),
    }
)
"""Hidden names that no student chose, in a folder of submissions."""


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per folder, archive or odd entry; a line for each other visible file."""
    candidates, lines, taken = [], [], set()
    for entry in top.entries:
        name = entry.name
        if is_hidden(name):
            if name not in LEFT_BY_TOOLS:
                lines.append(f"{quoted(name)} was skipped: its name begins with a dot")
            continue
        if not entry.is_folder and not entry.odd and not archive_suffix(name):
            lines.append(f"{quoted(name)} is neither a folder nor an archive and was skipped")
            continue
        taken.add(name)
        student = name if entry.is_folder else student_of(name, top.session)
        candidates.append(
            Candidate(
                raw=student,
                name=student,
                shown=quoted(f"{name}/" if entry.is_folder else name),
                parts=(Part(top.path(name), entry.is_folder),),
                download=f"{student}/",
            )
        )
    return Claimed(tuple(candidates), frozenset(taken), tuple(lines))


LAYOUT = Layout("plain", "plain folders and archives", "one per student", claim, lambda _: True)
