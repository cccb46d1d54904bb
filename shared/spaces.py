"""A search space that is asked from another process; for graders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from shared.registry import register

Architecture = dict[str, Any]
MAX_SEED = 2**31 - 1


@register
class RemoteSpace(nn.Module):
    """Has the methods of a search space, and passes every call on to `call(method, *arguments)`.

    A generator does not cross: its next number does, as the seed of all that one call draws. It is
    a module only because networks are what can be sent.
    """

    def __init__(self, choices: Mapping[str, Sequence[Any]], call: Callable[..., Any]) -> None:
        super().__init__()
        self.choices = dict(choices)
        self.call = call

    def encode(self, arch: Architecture) -> tuple[int, ...]:
        """Index of each option, in the order of `choices`, lists item by item."""
        return tuple(self.call("encode", arch))

    def decode(self, code: Sequence[int]) -> Architecture:
        """The architecture with these indices."""
        arch: Architecture = self.call("decode", tuple(code))
        return arch

    def sample(self, generator: torch.Generator) -> Architecture:
        """A random architecture."""
        arch: Architecture = self.call("sample", _seed(generator))
        return arch

    def mutate(
        self, arch: Architecture, probability: float, generator: torch.Generator
    ) -> Architecture:
        """A copy in which each gene changed with `probability`."""
        changed: Architecture = self.call("mutate", arch, probability, _seed(generator))
        return changed

    def crossover(
        self, a: Architecture, b: Architecture, generator: torch.Generator
    ) -> Architecture:
        """A child with each gene from one of the two."""
        child: Architecture = self.call("crossover", a, b, _seed(generator))
        return child


def _seed(generator: torch.Generator) -> int:
    return int(torch.randint(MAX_SEED, (), generator=generator))


@register
class SharedLists(nn.Module):
    """Calls a function over there and sees whether its result holds a list of its arguments."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, bool]:
        """(result, whether one of the lists inside it is also one of the arguments')."""
        result = function(*arguments)
        known = {id(each) for argument in arguments for each in _lists(argument)}
        return result, any(id(each) in known for each in _lists(result))


def _lists(arch: object) -> list[object]:
    values = list(arch.values()) if isinstance(arch, dict) else []
    return [arch, *(each for each in values if isinstance(each, list))]
