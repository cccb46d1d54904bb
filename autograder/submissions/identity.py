"""Who handed in: a display name, a file-name slug, and when two names are one student."""

from __future__ import annotations

import hashlib
import re
import unicodedata

from autograder.text_safety import clean_line

MAX_NAME = 120
_SLUG_WORDS = 40
_SLUG_HASH = 12
_UNSAFE_IN_FILE_NAMES = re.compile(r'[/\\:*?"<>|]')


def display_name(raw: str) -> str:
    """`raw` on one line without control, escape or bidirectional characters, never empty."""
    return clean_line(unicodedata.normalize("NFC", raw), MAX_NAME) or "(no name)"


def slug(raw: str) -> str:
    """A file name for the student's results: readable ASCII, then 48 bits of the name's hash.

    Only `[a-z0-9-]` occurs, so it is the same on file systems that fold case. The hash is taken
    of the name in Unicode normal form C, as some file systems store names decomposed.
    """
    normal = unicodedata.normalize("NFC", raw)
    ascii_only = unicodedata.normalize("NFKD", display_name(raw)).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:_SLUG_WORDS].strip("-")
    digest = hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{words or 'student'}-{digest[:_SLUG_HASH]}"


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
