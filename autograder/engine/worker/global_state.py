"""What is global in the worker's process: whoever calls a function finds it as it was."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

ADVANCE = 1009  # numbers to draw: no call draws as many from a generator that it has just seeded


class LeftChanged(Exception):
    """A call left something global changed; the text is a sentence."""


def _hooks() -> list[int]:
    module = nn.modules.module
    tables = [value for name, value in vars(module).items() if name.startswith("_global_")]
    return [len(table) for table in tables if isinstance(table, dict)]


def _set_hooks(_: list[int]) -> None:
    """Hooks of nobody's network are not removed: what they do, their owner has to see."""


def _numpy_errors(values: dict[str, Any]) -> None:
    np.seterr(**values)


# What it is called -> how it is read, how it is set.
STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "whether gradients are recorded": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the number of torch's threads": (torch.get_num_threads, torch.set_num_threads),
    "torch.use_deterministic_algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "whether autocast is on": (
        lambda: torch.is_autocast_enabled("cpu"),
        lambda on: torch.set_autocast_enabled("cpu", on),
    ),
    "torch's anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "NumPy's handling of floating-point errors": (np.geterr, _numpy_errors),
    "the hooks on all modules": (_hooks, _set_hooks),
}


@contextmanager
def kept() -> Iterator[None]:
    """Put back what the block leaves changed, and raise LeftChanged, naming the first of it.

    An exception of the block's own goes first.
    """
    before = {name: read() for name, (read, _) in STATE.items()}
    try:
        yield
    finally:
        changed = [name for name, (read, _) in STATE.items() if read() != before[name]]
        for name in changed:
            STATE[name][1](before[name])
    if changed:
        raise LeftChanged(f"the call left {changed[0]} changed: put back what is global")


def random_state() -> Callable[[], None]:
    """What puts the global generators back to where they are now."""
    of_torch, of_numpy, of_python = torch.get_rng_state(), np.random.get_state(), random.getstate()

    def put_back() -> None:
        torch.set_rng_state(of_torch)
        np.random.set_state(of_numpy)
        random.setstate(of_python)

    return put_back


def generators(advance: bool) -> str:
    """A digest of the global generators of torch, NumPy and random.

    With `advance` each has drawn some numbers before, so that seeding it as it may have been
    seeded by an earlier call shows.
    """
    if advance:
        torch.rand(ADVANCE)
        np.random.random(ADVANCE)
        for _ in range(ADVANCE):
            random.random()
    digest = hashlib.sha256(bytes(torch.get_rng_state().numpy()))
    digest.update(repr(random.getstate()).encode())
    digest.update(repr(np.random.get_state()).encode())
    return digest.hexdigest()
