"""Slow references of session 5's graders; nothing here shares code with the solution."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

Architecture = dict[str, Any]


class ReferenceSpace:
    """A search space by plain loops; randomness from a `random.Random`."""

    def __init__(self, choices: Mapping[str, Sequence[Any]]) -> None:
        self.choices = {name: list(options) for name, options in choices.items()}

    def options(self) -> list[list[Any]]:
        """The options of each gene."""
        found: list[list[Any]] = []
        for options in self.choices.values():
            found.extend(options if isinstance(options[0], list) else [options])
        return found

    def values(self, arch: Architecture) -> list[Any]:
        """What each gene of an architecture stands for."""
        found: list[Any] = []
        for name, options in self.choices.items():
            value = arch[name]
            found.extend(value if isinstance(options[0], list) else [value])
        return found

    def built(self, values: Sequence[Any]) -> Architecture:
        """The architecture of such values."""
        left = list(values)
        arch: Architecture = {}
        for name, options in self.choices.items():
            if isinstance(options[0], list):
                arch[name] = [left.pop(0) for _ in options]
            else:
                arch[name] = left.pop(0)
        return arch

    def encode(self, arch: Architecture) -> tuple[int, ...]:
        """Indices of the values; ValueError for what does not belong here."""
        if arch.keys() != self.choices.keys():
            raise ValueError("not the names of this space")
        pairs = zip(self.values(arch), self.options(), strict=True)
        return tuple(options.index(value) for value, options in pairs)

    def decode(self, code: Sequence[int]) -> Architecture:
        """The architecture of these indices."""
        pairs = zip(code, self.options(), strict=True)
        return self.built([options[index] for index, options in pairs])

    def sample(self, draw: random.Random) -> Architecture:
        """Every gene drawn on its own."""
        return self.built([draw.choice(options) for options in self.options()])

    def mutate(self, arch: Architecture, probability: float, draw: random.Random) -> Architecture:
        """Every gene drawn anew with `probability`."""
        pairs = zip(self.values(arch), self.options(), strict=True)
        return self.built([draw.choice(o) if draw.random() < probability else v for v, o in pairs])

    def crossover(self, a: Architecture, b: Architecture, draw: random.Random) -> Architecture:
        """Every gene from one of the two."""
        return self.built(
            [draw.choice(p) for p in zip(self.values(a), self.values(b), strict=True)]
        )

    def __call__(self, method: str, *arguments: Any) -> Any:
        """What `shared.spaces.RemoteSpace` asks for: a method by name, the last argument a seed."""
        if method in ("encode", "decode"):
            return getattr(self, method)(*arguments)
        if method not in ("sample", "mutate", "crossover"):
            raise ValueError(f"no method {method!r}")
        *given, seed = arguments
        return getattr(self, method)(*given, random.Random(seed))


def keeps(measured: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    """Whether every limit is kept; KeyError for one that was not measured."""
    kept = True
    for name, limit in limits.items():
        value = measured[name]
        kept = kept and not math.isnan(value) and value <= limit
    return kept
