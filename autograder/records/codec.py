"""The written form of a report: strict JSON, described field by field in docs/report-schema.md.

Reading is pydantic's, over the same frozen dataclasses that the kit works with. What a model of
types does not show (a key that occurs twice, a missing key that has a default, totals that are not
those of the exercises) is found by writing the record again: the result has to be the same tree.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from autograder.errors import AutograderError
from autograder.records import measurement, report
from autograder.records.report import SCHEMA_VERSION, Report
from autograder.text_safety import clean_line

R = TypeVar("R")
_adapters: dict[object, TypeAdapter[Any]] = {}

MAX_BYTES = 64_000_000
"""Of one record: a final project's graph may have as many nodes as the rules allow."""

_MAX_SHOWN = 120  # characters of a path or value in an error message
_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

for _module in (report, measurement):
    for _kind in vars(_module).values():
        if dataclasses.is_dataclass(_kind):
            _kind.__pydantic_config__ = _STRICT  # type: ignore[union-attr]


def to_json(record: Report) -> str:
    """`record` as ASCII JSON text that ends in a line break.

    Keys come in the order of the record's fields, `schema_version` first and the derived `totals`
    second. Strings are kept exactly (escaped), so reading gives the same record back; only a lone
    surrogate, which is no character, becomes a question mark. A number that is not finite raises
    AutograderError.
    """
    try:
        text = json.dumps(_tree(record), indent=1, allow_nan=False)
        if "\\ud" in text:  # a pair, or one that no strict reader of JSON takes
            plain = json.dumps(_tree(record), ensure_ascii=False).encode("utf-8", "replace")
            text = json.dumps(json.loads(plain), indent=1)
        return text + "\n"
    except ValueError:
        name = clean_line(record.student, _MAX_SHOWN)
        raise AutograderError(f"report of {name}: a number is not finite") from None


def from_json(text: str) -> Report:
    """The report that `to_json` wrote.

    Anything else raises AutograderError with one line that names the key: text that is no JSON,
    another schema version, a missing or unknown key, a value of another type or out of range, or
    totals that are not those of the exercises.
    """
    tree = _parse(text)
    if not isinstance(tree, dict):
        raise AutograderError("report: expected an object")
    version = tree.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        shown = clean_line(repr(version), _MAX_SHOWN)
        raise AutograderError(
            f"report.schema_version: this kit reads {SCHEMA_VERSION}, the record has {shown}"
        )
    fields = {key: value for key, value in tree.items() if key != "totals"}
    record = _rebuild(Report, fields)
    if difference := _difference(_tree(record), tree, "report"):
        raise AutograderError(difference)
    return record


def rebuild(kind: type[R], tree: Any) -> R:
    """A frozen record from plain values (dicts, lists, strings, numbers) that may be anything.

    AutograderError names what has another form.
    """
    try:
        text = json.dumps(tree, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise AutograderError("record: holds a value that JSON cannot express") from None
    return _rebuild(kind, _parse(text))


def _rebuild(kind: type[R], tree: Any) -> R:
    try:
        # JSON knows no tuples and no integer keys: strictness is that of the written form.
        record: R = _adapter(kind).validate_json(json.dumps(tree, allow_nan=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(["report", *map(str, first["loc"])])
        reason = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise AutograderError(clean_line(f"{path[-_MAX_SHOWN:]}: {reason}", 300)) from None
    except (ValueError, RecursionError):
        raise AutograderError("report: a number is not finite or has too many digits") from None
    return record


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _adapters:
        kind.__pydantic_config__ = _STRICT
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def _tree(record: Report) -> dict[str, Any]:
    totals = {
        "points": float(record.points),
        "raw_points": float(record.raw_points),
        "automatic_points": float(record.automatic_points),
        "maximum": float(record.maximum),
    }
    fields = dataclasses.asdict(record)
    return {"schema_version": fields.pop("schema_version"), "totals": totals, **fields}


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=_count)
    except RecursionError:
        raise AutograderError("report: nested too deeply") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise AutograderError(f"report: no JSON at {where}: {error.msg}") from None
    except ValueError:  # an integer with thousands of digits
        raise AutograderError("report: a number has too many digits") from None


def _count(digits: str) -> int:
    """No record counts anything negative."""
    value = int(digits)
    if not 0 <= value < 2**63:
        raise AutograderError(f"report: {clean_line(digits, 40)} is not a count")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        shown = clean_line(", ".join(tree), _MAX_SHOWN)
        raise AutograderError(f"report: a key occurs twice among {shown}")
    return tree


def _difference(expected: Any, actual: Any, path: str) -> str:
    """Where a tree is not the one that its record gives, in one line; empty if nowhere."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        expected = {str(key): value for key, value in expected.items()}
        for key in expected:
            if key not in actual:
                return f"{path}: no key {key!r}"
            if difference := _difference(expected[key], actual[key], f"{path}.{key}"):
                return difference
        return ""  # unknown keys have been refused
    if isinstance(expected, list | tuple) and isinstance(actual, list):
        pairs = enumerate(zip(expected, actual, strict=True))
        return next((d for i, (a, b) in pairs if (d := _difference(a, b, f"{path}[{i}]"))), "")
    if expected != actual:
        return f"{path}: {clean_line(repr(actual), 40)} does not follow from the record"
    return ""
