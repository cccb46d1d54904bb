"""One Python file as text: encoding, line ends and size. It is compiled in the worker only."""

from __future__ import annotations

import re

from autograder.errors import SubmissionError
from autograder.submissions.members import MAX_SOURCE_BYTES

_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
# PEP 263: in one of the first two lines, the second only if the first is blank or a comment.
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK_OR_COMMENT = re.compile(rb"^[ \t\f]*(?:#.*)?$")


def is_source(name: str) -> bool:
    """Whether a listed file is a module of Python, the rest being data."""
    return name.endswith(".py")


def normalize(raw: bytes) -> bytes:
    """The source as UTF-8 with neither byte-order mark nor carriage returns.

    SubmissionError (text without the file name) if it is too large, holds a NUL byte, is not
    UTF-8 or declares another encoding.
    """
    if len(raw) > MAX_SOURCE_BYTES:
        raise SubmissionError(f"is larger than {MAX_SOURCE_BYTES:,} bytes")
    if raw.startswith(_UTF16_BOMS):
        raise SubmissionError("is UTF-16, save it as UTF-8")
    data = raw.removeprefix(_BOM).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if (position := data.find(b"\0")) >= 0:
        raise SubmissionError(f"holds a NUL byte in line {_line_of(data, position)}")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_of(data, error.start)
        raise SubmissionError(f"is not UTF-8 in line {line}, save it as UTF-8") from None
    if (encoding := _declared_encoding(data)) and not _is_utf8(encoding):
        raise SubmissionError(f"declares the encoding {encoding[:20]}, only UTF-8 is accepted")
    return data


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _declared_encoding(data: bytes) -> str:
    """The PEP 263 cookie, empty if there is none."""
    for line in data.split(b"\n", 2)[:2]:
        if match := _COOKIE.match(line):
            return match.group(1).decode("ascii", "replace")
        if not _BLANK_OR_COMMENT.match(line):
            break
    return ""


def _is_utf8(encoding: str) -> bool:
    name = encoding.lower().replace("_", "-")
    return name in ("utf-8", "utf8", "u8") or name.startswith("utf-8-")
