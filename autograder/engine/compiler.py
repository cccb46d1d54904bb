"""Keeps torch from importing its compiler where nothing is compiled.

torch tells `torch.compile` what to leave alone, each step of an optimiser for example, and imports
the compiler to say so: 1.5 s and 140 MB in every process that trains. Until somebody wants more of
it, a module that hears this and does nothing stands in for it.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import torch

NAME = "torch._dynamo"


class _Absent(types.ModuleType):
    """The compiler until it is needed: the first name that is asked of it imports it."""

    def graph_break(self) -> None:
        """No graph is recorded that could be broken."""

    def disable(
        self, fn: Callable[..., Any] | None = None, recursive: bool = True, **options: Any
    ) -> Any:
        """A decorator, with or without arguments, that changes nothing."""
        if fn is None:
            return functools.partial(self.disable, recursive=recursive, **options)
        return fn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # whoever walks over all modules asks
            raise AttributeError(name)
        if sys.modules.get(NAME) is self:
            del sys.modules[NAME]
        return getattr(importlib.import_module(NAME), name)


def leave_out() -> None:
    """Have torch do without its compiler until somebody compiles; nothing if it is there already.

    Who will compile had better import it before: its stand-in keeps nothing of what it is told.
    """
    if NAME not in sys.modules:
        torch._dynamo = sys.modules[NAME] = _Absent(NAME, _Absent.__doc__)
