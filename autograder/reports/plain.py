"""What a terminal that cannot show a character shows instead: one sign for one, so columns hold."""

from __future__ import annotations

import unicodedata

PLAIN = "autograder.plain"
"""Name under which `plain_signs` is registered as an error handler of encoders."""

_SIGNS = str.maketrans(
    {
        # outcomes
        "✓": "+",
        "◐": "~",
        "✗": "x",
        "○": "o",
        "◷": "T",
        "▣": "M",
        "⊘": "X",
        "◇": "<",
        # what our own sentences are set with
        "–": "-",
        "—": "-",
        "−": "-",
        "…": ".",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "·": "*",
        "×": "x",
        "≤": "<",
        "≥": ">",
        "→": ">",
        "│": "|",
        "─": "-",
    }
)


def plain_signs(error: UnicodeError) -> tuple[str, int]:
    """Error handler for `str.encode`: a similar sign, a letter without its accent, or "?"."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_SIGNS)
    return "".join(map(_nearest, text)), error.end


def _nearest(char: str) -> str:
    plain = unicodedata.normalize("NFKD", char)[:1]
    return plain if plain.isascii() and plain.isprintable() else "?"
