"""Workflow commands: lines of a step's output that GitHub's runner obeys.

The runner takes a line for a command if it begins with `::` after white space, or holds `##[`
anywhere. So text of others is only printed between `stop-commands` and a token that it cannot know,
or inside a command whose special characters are escaped.
Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from autograder.text_safety import clean, clean_line

MAX_ANNOTATIONS = 10
"""Of each kind in a step; GitHub drops further ones."""
MAX_TEXT, MAX_TITLE = 2_000, 120
_TOKEN_BYTES = 16


@dataclass(frozen=True)
class Annotation:
    """One message beside a line of a file; without a file it stands in the run's list only.

    `file` is relative to the repository, with slashes.
    """

    kind: Literal["error", "warning", "notice"]
    title: str
    text: str
    file: str = ""
    line: int = 0


def command(annotation: Annotation) -> str:
    """The line that makes an annotation."""
    place = {"file": annotation.file, "line": str(annotation.line)} if annotation.file else {}
    values = {**place, "title": clean_line(annotation.title, MAX_TITLE)}
    properties = ",".join(f"{key}={_property(value)}" for key, value in values.items())
    return f"::{annotation.kind} {properties}::{_message(clean(annotation.text, MAX_TEXT))}"


def uninterpreted(lines: Iterable[str]) -> Iterator[str]:
    """The lines between commands that make the runner print them and nothing else."""
    token = secrets.token_hex(_TOKEN_BYTES)
    yield f"::stop-commands::{token}"
    yield from lines
    yield f"::{token}::"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
