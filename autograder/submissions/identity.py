"""Who submitted: a display name, a file-name slug, and when two names are one student."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence

from autograder.text_safety import clean_line

MAX_NAME = 120
KEEP_ONE = "keep one"
"""Ends each problem of several submissions, or places in one, of which none was chosen."""

_SLUG_WORDS = 40
_SLUG_HASH = 12
_UNSAFE_IN_FILE_NAMES = re.compile(r'[/\\:*?"<>|]')


def display_name(raw: str) -> str:
    """`raw` on one line without control, escape or bidirectional characters, never empty."""
    return clean_line(normal(raw), MAX_NAME) or "(no name)"


def slug(raw: str) -> str:
    """A file name for the student's results: readable ASCII, then 48 bits of the name's hash.

    Only `[a-z0-9-]` occurs, so it is the same on file systems that fold case. The hash is taken
    of the name in Unicode normal form C, as some file systems store names decomposed.
    """
    return _slug(raw, _SLUG_HASH)


def slugs(raws: Iterable[str]) -> dict[str, str]:
    """The slug of each name; names that would share one get the whole hash.

    48 bits are short enough to look at and too short to trust: two names that share them are
    found in seconds. Names are the same if their normal forms C are.
    """
    names = dict.fromkeys(raws)
    by_slug: dict[str, set[str]] = defaultdict(set)
    for raw in names:
        by_slug[slug(raw)].add(normal(raw))
    return {
        raw: short if len(by_slug[short := slug(raw)]) == 1 else _slug(raw, None) for raw in names
    }


def _slug(raw: str, digits: int | None) -> str:
    ascii_only = unicodedata.normalize("NFKD", display_name(raw)).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:_SLUG_WORDS].strip("-")
    digest = hashlib.sha256(normal(raw).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{words or 'student'}-{digest[:digits]}"


def normal(raw: str) -> str:
    """Equal for names that some file system takes for the same, composed or decomposed."""
    return unicodedata.normalize("NFC", raw)


def same_student_key(raw: str) -> str:
    """Equal for names that a person or a file system may take for the same."""
    visible = "".join(c for c in raw if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))
    return " ".join(unicodedata.normalize("NFKC", visible).casefold().split())


def file_name_for(student: str) -> str:
    """`student` as the stem of a file name on any system; empty if nothing is left of it."""
    return _UNSAFE_IN_FILE_NAMES.sub("_", clean_line(student, MAX_NAME)).strip(" .")


def quoted(name: str) -> str:
    """A file or member name for a message: cleaned, cut and in quotes."""
    return f"'{clean_line(name, 80)}'"


def some_of(names: Sequence[str], most: int = 20) -> str:
    """The first of many names, quoted or not, for a message, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
