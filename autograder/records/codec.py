"""The written form of a report: JSON, described field by field in docs/report-schema.md."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from autograder.errors import AutograderError
from autograder.records import SCHEMA_VERSION, Report
from autograder.text_safety import clean_line

_LONGEST_PATH = 120  # of a place in an error message


def to_json(report: Report) -> str:
    """`report` as ASCII JSON text that ends in a line break.

    Keys come in the order of the record's fields, `schema_version` first and the derived
    `totals` second. Strings are kept exactly (escaped), so reading gives the same record back.
    A number that is not finite raises AutograderError.
    """
    tree = {
        "schema_version": report.schema_version,
        "totals": _totals(report),
        **dataclasses.asdict(report),
    }
    try:
        return json.dumps(tree, indent=1, allow_nan=False) + "\n"
    except ValueError:
        name = clean_line(report.student, _LONGEST_PATH)
        raise AutograderError(f"report of {name}: a number is not finite") from None


def from_json(text: str) -> Report:
    """The report that `to_json` wrote.

    Anything else raises AutograderError with one line that names the place: text that is no
    JSON, another schema version, a missing or unknown key, a value of another type, or totals
    that are not those of the exercises.
    """
    tree = _parse(text)
    if not isinstance(tree, dict):
        _wrong("report", "an object", tree)
    version = tree.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        _refuse(f"report.schema_version: this kit reads {SCHEMA_VERSION}, found {_show(version)}")
    fields = dict(tree)
    totals = fields.pop("totals", None)
    report: Report = _read(Report, fields, "report")
    if totals != _totals(report):
        _refuse("report.totals: these are not the totals of the exercises; grade again")
    return report


def _totals(report: Report) -> dict[str, float]:
    return {
        "points": float(report.points),
        "raw_points": float(report.raw_points),
        "maximum": float(report.maximum),
    }


# ---- text to a tree ----------------------------------------------------------------------------


def _parse(text: str) -> Any:
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=_finite,
            parse_constant=lambda name: _refuse(f"report: {name} is not a number"),
        )
    except RecursionError:
        _refuse("report: nested too deeply")
    except json.JSONDecodeError as error:
        _refuse(f"report: no JSON at line {error.lineno}, column {error.colno}: {error.msg}")
    except ValueError:  # an integer with thousands of digits
        _refuse("report: a number has too many digits")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) != len(pairs):
        _refuse(f"report: a key occurs twice among {_show(', '.join(tree))}")
    return tree


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse(f"report: {_show(digits)} is too large")
    return value


# ---- a tree to records ---------------------------------------------------------------------------


def _read(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _record(kind, value, place)
    if get_origin(kind) is tuple:
        (item,) = (arg for arg in get_args(kind) if arg is not Ellipsis)
        if not isinstance(value, list):
            _wrong(place, "a list", value)
        return tuple(_read(item, each, f"{place}[{i}]") for i, each in enumerate(value))
    if get_origin(kind) in (Union, types.UnionType):  # only `str | None` occurs
        return None if value is None else _read(get_args(kind)[0], value, place)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            _wrong(place, f"one of {', '.join(get_args(kind))}", value)
        return value
    if issubclass(kind, Enum):
        return _member(kind, value, place)
    return _PLAIN[kind](value, place)


def _record(kind: Any, value: Any, place: str) -> Any:
    if not isinstance(value, dict):
        _wrong(place, "an object", value)
    hints = _hints(kind)
    if value.keys() != hints.keys():
        missing = [key for key in hints if key not in value]
        unknown = [key for key in value if key not in hints]
        what = f"no key {missing[0]!r}" if missing else f"unknown key {_show(unknown[0])}"
        _refuse(f"{place}: {what}")
    return kind(**{key: _read(hints[key], value[key], f"{place}.{key}") for key in hints})


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _member(kind: type[Enum], value: Any, place: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        _wrong(place, "one of " + ", ".join(str(member.value) for member in kind), value)


def _string(value: Any, place: str) -> str:
    return value if isinstance(value, str) else _wrong(place, "a string", value)


def _boolean(value: Any, place: str) -> bool:
    return value if isinstance(value, bool) else _wrong(place, "true or false", value)


def _integer(value: Any, place: str) -> int:
    if type(value) is not int or abs(value) >= 2**63:
        _wrong(place, "a 64-bit integer", value)
    return value


def _number(value: Any, place: str) -> float:
    if type(value) not in (int, float):
        _wrong(place, "a number", value)
    try:
        return float(value)
    except OverflowError:
        _refuse(f"{place}: the number is too large")


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    str: _string,
    bool: _boolean,
    int: _integer,
    float: _number,
}


def _wrong(place: str, expected: str, value: Any) -> NoReturn:
    _refuse(f"{place}: expected {expected}, found {_show(value)}")


def _refuse(line: str) -> NoReturn:
    raise AutograderError(line)


def _show(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return clean_line(json.dumps(value, ensure_ascii=False), 60)
