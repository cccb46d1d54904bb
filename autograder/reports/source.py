"""Where an exercise's function stands in a submitted module; the text is searched, never parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from autograder.text_safety import clean

SOURCE_LIMIT = 100_000
_INSIDE = re.compile(r"[ \t)\]}#]|$")  # a line that goes on with a definition, or is a comment


@dataclass(frozen=True)
class Excerpt:
    """Lines of a module; the first has the number `first`."""

    first: int
    text: str

    @property
    def numbered(self) -> str:
        """The lines behind their numbers."""
        lines = self.text.split("\n")
        width = len(str(self.first + len(lines) - 1))
        return "\n".join(f"{self.first + i:>{width}}  {line}" for i, line in enumerate(lines))


def whole(text: str) -> Excerpt:
    """All of a module, made safe to show."""
    return Excerpt(1, clean(text, SOURCE_LIMIT).rstrip("\n"))


def opening(name: str) -> re.Pattern[str]:
    """What a line begins with that opens the top-level function or class `name`."""
    return re.compile(rf"(?:async +)?(?:def|class) +{re.escape(name)}\b")


def definition(module: Excerpt, name: str) -> Excerpt | None:
    """The last top-level function or class `name`, with its decorators: the one in force."""
    lines = module.text.split("\n")
    opens = opening(name)
    starts = [index for index, line in enumerate(lines) if opens.match(line)]
    if not starts:
        return None
    first = last = starts[-1]
    while first > 0 and lines[first - 1].startswith("@"):
        first -= 1
    while last + 1 < len(lines) and _INSIDE.match(lines[last + 1]):
        last += 1
    while last > starts[-1] and re.match(r"#|\s*$", lines[last]):
        last -= 1
    return Excerpt(module.first + first, "\n".join(lines[first : last + 1]))
