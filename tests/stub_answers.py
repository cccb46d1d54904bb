"""What stubs answer: appended to every module of a submission of stubs, never imported."""

import copy  # noqa: F401  # used by the bodies of stubs
import dataclasses
import typing

import torch

import shared.records


def _tensors(value):
    """Every tensor in nested containers and modules, in order."""
    if isinstance(value, torch.Tensor):
        return [value.detach()]
    if isinstance(value, torch.nn.Module):
        return [tensor for each in value.parameters() for tensor in _tensors(each)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [tensor for each in value for tensor in _tensors(each)]
    return []


def _annotated(annotation):
    """The type that is returned; None where its name is imported for type checkers only."""
    try:
        return annotation()
    except NameError:
        return None


def _like(arguments, fill):
    """A tensor of the first tensor's shape, or of one element, that holds only `fill`."""
    found = _tensors(arguments)
    return torch.full_like(found[0], fill) if found else torch.full((1,), fill)


def _count(arguments):
    """How many things the first argument stands for."""
    first = arguments[0] if arguments else 0
    if isinstance(first, int):
        return max(0, min(first, 10_000))
    return len(first) if hasattr(first, "__len__") else 1


def _filled(result, arguments, fill):
    """A value of the annotated type that holds only `fill`, shaped like the arguments."""
    origin, inner = typing.get_origin(result), typing.get_args(result)
    if origin is tuple and inner:
        return tuple(_filled(each, arguments, fill) for each in inner if each is not ...)
    if origin is list and inner:
        return [_filled(inner[0], arguments, fill) for _ in range(_count(arguments))]
    if origin is dict and inner:
        keys = next((each for each in arguments if isinstance(each, dict)), {})
        return {key: _filled(inner[1], arguments, fill) for key in keys}
    if dataclasses.is_dataclass(result):
        hints = typing.get_type_hints(result, vars(shared.records) | vars(typing))
        return result(**{k: _filled(each, arguments, fill) for k, each in hints.items()})
    if result is torch.Tensor:
        return _like(arguments, fill)
    if result in (int, float, bool, str):
        return result(fill)
    if result is bytes:
        return bytes([fill])
    modules = [each for each in arguments if isinstance(each, torch.nn.Module)]
    return modules[0] if modules else float(fill)


def _is_data(value):
    """Whether a value cannot be trained, called or used up."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return all(map(_is_data, value))
    known = int | float | str | bytes | torch.Tensor | shared.records.QParams
    return value is None or isinstance(value, known)


def _same_shape(value, fill):
    """A value of the same types, lengths and shapes that holds only `fill`."""
    if isinstance(value, torch.Tensor):
        return 0 * value + fill if value.requires_grad else torch.full_like(value, fill)
    if value is None:
        return None
    if isinstance(value, dict):
        return {key: _same_shape(each, fill) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_same_shape(each, fill) for each in value)
    if dataclasses.is_dataclass(value):
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return type(value)(**_same_shape(fields, fill))
    return bytes([fill]) * len(value) if isinstance(value, bytes) else type(value)(fill)


def _emptied(right, result, arguments, fill):
    """What the solution gives, with `fill` in place of every number; functions of data only."""
    if not _is_data(arguments):
        return _filled(result, arguments, fill)
    return _same_shape(right(*arguments), fill)


def _nested(depth, width):
    """Lists in lists, the innermost one wide."""
    value = [0] * width
    for _ in range(depth):
        value = [value]
    return value


def _share(arguments):
    """Bits of each word, for words of three million bits together."""
    return 3_000_000 // max(1, len(arguments[0]))
