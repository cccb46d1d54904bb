"""Models that can be written down as a class name, constructor arguments and a state.

A registered class is known by its bare name in `REGISTRY`, and each of its instances keeps the
arguments it was built with in `config`, so that

    rebuilt = REGISTRY[type(model).__name__](**model.config)
    rebuilt.load_state_dict(model.state_dict())

gives an equal model in another process.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

from torch import nn

M = TypeVar("M", bound=nn.Module)

REGISTRY: dict[str, type[nn.Module]] = {}

_BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _no_arguments(self: nn.Module) -> None:
    """The signature of a class without a constructor; nn.Module's own takes anything."""


def register(cls: type[M]) -> type[M]:
    """Class decorator: enter `cls` in `REGISTRY` and keep its constructor arguments.

    Every instance gets `config: dict[str, Any]`, all arguments by name with defaults filled in.
    An unregistered subclass gets none, since its own arguments are not known.

    Raises ValueError if the name is taken by another class, or if an argument cannot be passed
    by keyword (`*args`, `**kwargs`, positional-only).
    """
    known = REGISTRY.get(cls.__name__)
    if known is not None and known.__module__ != cls.__module__:
        raise ValueError(f"{cls.__name__} is already registered by {known.__module__}")
    init: Any = cls.__init__
    signature = inspect.signature(init if init is not nn.Module.__init__ else _no_arguments)
    for parameter in list(signature.parameters.values())[1:]:
        if parameter.kind not in _BY_KEYWORD:
            raise ValueError(f"{cls.__name__}: argument {parameter} cannot be passed by keyword")

    @functools.wraps(init)
    def remember(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        init(self, *args, **kwargs)
        if type(self) is cls:  # the constructor of a registered base class must not win
            bound.apply_defaults()
            arguments = dict(bound.arguments)
            del arguments[next(iter(signature.parameters))]
            vars(self)["config"] = arguments

    setattr(cls, "__init__", remember)  # noqa: B010 - assigning a method is refused by mypy
    REGISTRY[cls.__name__] = cls
    return cls
