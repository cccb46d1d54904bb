"""card.yaml: whose entry it is, by which method, what they claim. Nothing in it is counted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autograder.course import DatasetName
from autograder.errors import SubmissionError
from autograder.text_safety import clean_line

MAX_CARD_BYTES = 20_000
TEAM = re.compile("[a-z0-9][a-z0-9_-]{0,39}")
MAX_BRACKETS = 200  # the parser's time grows with the square of their depth
Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class Card(BaseModel):
    """The card beside model.onnx."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    team: Annotated[str, Field(pattern=f"^{TEAM.pattern}$")]
    members: Annotated[tuple[Line, ...], Field(strict=False, max_length=10)] = ()
    method: Annotated[str, Field(max_length=2000)] = ""
    base_revision: Annotated[str, Field(max_length=64)] = ""
    dataset: DatasetName | None = None
    claimed_accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    claimed_cost: Annotated[float, Field(ge=0)] | None = None


NO_CARD = Card(team="no-card")
"""What a file without a card is measured as."""


class _CardLoader(yaml.SafeLoader):
    """Without aliases: a few lines of them stand for more values than there is memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("alias")
        return super().compose_node(parent, index)


def read_bytes(path: Path, max_bytes: int | None, missing: str = "there is no such file") -> bytes:
    """The bytes of a file of an entry; SubmissionError in one line if there are none.

    So for more than `max_bytes`; without it, for more than a card may have.
    """
    limit = MAX_CARD_BYTES if max_bytes is None else max_bytes
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise SubmissionError(f"{path}: {missing}") from None
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > limit:
        raise SubmissionError(f"{path}: more than {limit:,} bytes")
    return content


def parse_card(text: bytes, name: str = "card.yaml") -> Card:
    """Check the text of a card; `name` stands in the messages."""
    if len(text) > MAX_CARD_BYTES:
        raise SubmissionError(f"{name}: more than {MAX_CARD_BYTES:,} bytes")
    if text.count(b"[") + text.count(b"{") > MAX_BRACKETS:
        raise SubmissionError(f"{name}: more than {MAX_BRACKETS} brackets")
    try:
        data: Any = yaml.load(text.decode("utf-8"), _CardLoader)
    except Exception:  # of an explicit tag, such as !!bool, PyYAML's constructors raise anything
        raise SubmissionError(f"{name}: not YAML in UTF-8 without aliases") from None
    if not isinstance(data, dict):
        raise SubmissionError(f"{name}: expected keys such as team and method")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = clean_line(".".join(str(part) for part in first["loc"]), 60)
        raise SubmissionError(f"{name}: {key}: {clean_line(first['msg'], 200)}") from None
