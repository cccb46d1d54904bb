"""Frozen records from JSON that may have been forged: every key and every type is checked."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

R = TypeVar("R")
MAX_DIGITS = 18


class Malformed(ValueError):
    """A value does not have the form of the record; the text names the field."""


def record(kind: type[R], value: object, where: str = "") -> R:
    """Rebuild a frozen record; Malformed if a key is missing, unknown or of another type."""
    if not isinstance(value, dict):
        raise Malformed(f"{where or kind.__name__}: expected an object")
    hints = get_type_hints(kind)
    names = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if set(value) != set(names):
        odd = sorted(set(value) ^ set(names))[0]
        raise Malformed(f"{where or kind.__name__}: {str(odd)[:40]} is missing or unknown")
    return kind(
        **{name: _value(hints[name], value[name], f"{where}.{name}"[-80:]) for name in names}
    )


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        return _value(next(each for each in inner if each is not type(None)), value, where)
    if origin is tuple and isinstance(value, list):
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(_value(inner[0], each, where) for each in value)
        if len(inner) == len(value):
            return tuple(_value(h, v, where) for h, v in zip(inner, value, strict=True))
    if origin is Mapping and isinstance(value, dict):
        return {_key(inner[0], k, where): _value(inner[1], v, where) for k, v in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return record(hint, value, where)
    if hint is float and type(value) in (int, float) and _is_finite(value):
        return float(value)
    if hint is int and type(value) is int and 0 <= value < 10**MAX_DIGITS:
        return value
    if hint in (str, bool) and type(value) is hint:
        return value
    raise Malformed(f"{where.lstrip('.')}: a value of another type")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _key(hint: Any, key: str, where: str) -> Any:
    if hint is int:
        if not key.isdecimal() or len(key) > MAX_DIGITS:
            raise Malformed(f"{where.lstrip('.')}: a key that is not a number")
        return int(key)
    return key
