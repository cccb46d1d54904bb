"""card.yaml: who hands in, by which method, and what they claim. Nothing in it is counted."""

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


class _Loader(yaml.SafeLoader):
    """Without aliases: a few lines of them stand for more values than there is memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("alias")
        return super().compose_node(parent, index)


def read_card(path: Path) -> Card:
    """Read a card; SubmissionError in one line that names file, key and what was expected."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CARD_BYTES + 1)
    except FileNotFoundError:
        raise SubmissionError(f"{path}: there is no card; write one beside the model") from None
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror})") from None
    return parse_card(text, str(path))


def parse_card(text: bytes, name: str = "card.yaml") -> Card:
    """Check the text of a card; `name` stands in the messages."""
    if len(text) > MAX_CARD_BYTES:
        raise SubmissionError(f"{name}: more than {MAX_CARD_BYTES:,} bytes")
    if text.count(b"[") + text.count(b"{") > MAX_BRACKETS:
        raise SubmissionError(f"{name}: more than {MAX_BRACKETS} brackets")
    try:
        data: Any = yaml.load(text.decode("utf-8"), _Loader)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError):
        raise SubmissionError(f"{name}: this is not YAML in UTF-8, without aliases") from None
    if not isinstance(data, dict):
        raise SubmissionError(f"{name}: expected keys such as team and method")
    try:
        return Card.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = clean_line(".".join(str(part) for part in first["loc"]), 60)
        raise SubmissionError(f"{name}: {key}: {clean_line(first['msg'], 200)}") from None
