"""Files that were probably meant as one of the session's, but have another name.

None of them is ever graded in its place: a person renames it, or the student submits again.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable

from autograder.submissions.identity import quoted
from autograder.submissions.members import Member

_EXTENSIONS = (
    *(".py", ".pyw", ".ipynb", ".txt", ".md", ".html", ".pdf", ".doc", ".docx", ".bak"),
    *(".onnx", ".yaml", ".yml", ".json"),
)
# What browsers, file managers and platforms add to the name of a second copy. No text can be read
# in two ways here: a hostile name would otherwise take exponential time.
_COPY = re.compile(
    r"^(?:copy of |copie de |kopie von )+"
    r"|(?:[ _-]*\(\d+\)|[ _-]+(?:copy|copie|kopie|final|new|v)\d*|[ _-]+\d+)+$"
)
_SEPARATORS = re.compile(r"[^\w]+|_+")
_SIMILAR = 0.8
_LONGEST = 120  # characters of a name that is looked at


def hint(name: str, others: Iterable[Member]) -> str:
    """What to add to "NAME is missing", if another file comes near; empty otherwise.

    First a file of that very name in another folder, then one that differs in case, in what is
    added to copies, in its extension, its separators or what surrounds it, then one with a slip of
    the pen.
    """
    candidates = [member for member in others if 0 < len(member.name) <= _LONGEST]
    if elsewhere := next((member for member in candidates if member.name == name), None):
        return f"; {quoted(elsewhere.path)} was ignored"
    wanted = _core(name)
    for member in candidates:
        if _core(member.name) == wanted:
            return f"; {quoted(member.path)} was ignored: {_what_to_do(member.name, name)}"
    suffix = name[name.rfind(".") :]
    names = {_core(m.name): m for m in candidates if m.name.casefold().endswith(suffix)}
    slips = [core for core in names if core[:1] == wanted[:1] and abs(len(core) - len(wanted)) < 2]
    close = difflib.get_close_matches(wanted, slips, n=1, cutoff=_SIMILAR)
    if close:
        member = names[close[0]]
        return f"; {quoted(member.path)} was ignored: {_what_to_do(member.name, name)}"
    return ""


def _what_to_do(actual: str, name: str) -> str:
    if actual.casefold().endswith(".ipynb"):
        return f"a notebook is not read, save its code as {name}"
    if actual.strip() == name:
        return f"its name has to be {name}, without blanks around it"
    return f"its name has to be {name}"


def _core(name: str) -> str:
    """A file's name without extensions, marks of copies, case and kinds of separators."""
    stem = unicodedata.normalize("NFKC", name).casefold().strip(" .")
    while (shorter := _shortened(stem)) != stem:
        stem = shorter
    return _SEPARATORS.sub("_", stem).strip("_")


def _shortened(stem: str) -> str:
    for extension in _EXTENSIONS:
        if stem.endswith(extension) and len(stem) > len(extension):
            return stem.removesuffix(extension).strip()
    return _COPY.sub("", stem) or stem
