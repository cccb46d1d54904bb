"""Make text of unknown origin safe to show: names, messages, tracebacks, file names.

What is removed can change how *other* text looks or is read: terminal escape sequences, control
characters, bidirectional overrides and invisible format characters, surrogates, and characters
that no XML document may hold. Escaping for HTML, XML or CSV is left to the writer of that format.
"""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "…"

# How many characters are looked at for each one that may be shown. It bounds the work on text
# that consists of nothing but characters to remove.
_LOOK_AHEAD = 16

# ECMA-48: control sequences, then closed control strings (titles, hyperlinks) on one line, then
# other escapes. An unclosed control string only loses its introducer, so it can swallow nothing.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\r\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x85\u2028\u2029]")
_ASCII_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_JOINERS = "\u200c\u200d"  # needed to write Persian, Hindi and many emoji; they cannot reorder
_MARKS_IN_A_ROW = 4  # more combining marks on one letter paint over the lines around it


def clean(text: str, limit: int) -> str:
    """`text` with every character removed that could disturb its surroundings.

    Line breaks become `"\\n"`; tabs stay. A text of more than `limit` characters is cut and ends
    in an ellipsis, which counts. Cleaning twice changes nothing. `limit` below 1 raises
    ValueError.
    """
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    head = text[: _LOOK_AHEAD * limit]
    shown = _ASCII_CONTROLS.sub("", _LINE_ENDS.sub("\n", _ESCAPES.sub("", head)))
    if not shown.isascii():
        shown = _without_odd_characters(shown)
    if len(shown) <= limit and len(head) == len(text):
        return shown
    return shown[: limit - 1] + ELLIPSIS


def clean_line(text: str, limit: int) -> str:
    """Like `clean`, on one line: every run of white space becomes one space, none at the ends."""
    return clean(" ".join(clean(text, _LOOK_AHEAD * limit).split()), limit)


def _without_odd_characters(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _MARKS_IN_A_ROW and _is_plain(char, category):
            kept.append(char)
    return "".join(kept)


def _is_plain(char: str, category: str) -> bool:
    if category == "Cc":
        return char in "\n\t"
    if category == "Cf":
        return char in _JOINERS
    return category != "Cs" and not _is_noncharacter(ord(char))


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
