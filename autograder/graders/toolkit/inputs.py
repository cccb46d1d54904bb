"""Inputs that nobody can foresee and that a regrade repeats."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
State = tuple[bytes, tuple[Hashable, ...]]
KEPT_DRAWS = 4


def seed_global_generators(seed: bytes) -> None:
    """Set what is drawn without `RandomInputs`, such as the first weights of a layer."""
    random.seed(seed)
    np.random.seed(int.from_bytes(seed[:4], "little"))
    torch.default_generator.manual_seed(int.from_bytes(seed[:8], "little") >> 1)


class RandomInputs:
    """Reproducible, unpredictable inputs: everything is derived from one keyed seed.

    Tensors come from a `torch.Generator`, Python objects from a `random.Random`; both are local,
    the global generators are never touched.
    """

    def __init__(self, seed: bytes) -> None:
        self.generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "little") >> 1)
        self.random = random.Random(seed)

    def normal(self, *shape: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Float32 Gaussian of `shape`."""
        return torch.randn(*shape, generator=self.generator) * std + mean

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Float32 uniform in [low, high) of `shape`."""
        return torch.rand(*shape, generator=self.generator) * (high - low) + low

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Int64 uniform in low..high, both included, of `shape`."""
        return torch.randint(low, high + 1, shape, generator=self.generator)

    def permutation(self, n: int) -> Tensor:
        """Int64 permutation of 0..n-1."""
        return torch.randperm(n, generator=self.generator)

    def integer(self, low: int, high: int) -> int:
        """One Python int in low..high, both included."""
        return self.random.randint(low, high)

    def number(self, low: float, high: float) -> float:
        """One Python float in low..high."""
        return self.random.uniform(low, high)

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return self.random.choice(options)

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different positions of `options`."""
        return self.random.sample(options, count)

    def seed(self) -> int:
        """A seed for another generator, 0..2**31-1."""
        return self.random.randrange(2**31)

    def state(self) -> State:
        """What all further draws depend on."""
        return self.generator.get_state().numpy().tobytes(), self.random.getstate()

    def go_on_from(self, state: State) -> None:
        """Draw next what was drawn after `state()` gave this."""
        tensor, numbers = state
        self.generator.set_state(torch.frombuffer(bytearray(tensor), dtype=torch.uint8))
        self.random.setstate(numbers)


def drawn_once(draw: Callable[[RandomInputs], T]) -> Callable[[RandomInputs], T]:
    """`draw`, whose latest results are kept: for what takes long, like training a network.

    A check is run again on each known mistake, with the same draws. What is returned is shared and
    must not be changed.
    """
    kept: dict[State, tuple[T, State]] = {}

    @functools.wraps(draw)
    def remembered(rng: RandomInputs) -> T:
        before = rng.state()
        if before not in kept:
            value = draw(rng)
            if len(kept) >= KEPT_DRAWS:
                del kept[next(iter(kept))]
            kept[before] = value, rng.state()
        value, after = kept[before]
        rng.go_on_from(after)
        return value

    return remembered
