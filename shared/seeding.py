"""Random numbers that can be repeated, and that leave the caller's generators alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from shared.checks import check_int


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch (every device) with `seed`.

    Raises ValueError unless 0 <= seed < 2**32, the range that all three accept.
    """
    check_int("seed", seed, 0, 2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@contextmanager
def isolated_rng(seed: int | None = None) -> Iterator[None]:
    """Give the global generators back as they were, whatever happens in between.

    Covers Python, NumPy, torch's CPU generator and, where CUDA is in use, those of its devices.
    With `seed` they are seeded on entry.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(_cuda_devices()):
            if seed is not None:
                seed_everything(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _cuda_devices() -> list[int]:
    # Asking an unused CUDA for its state would start it up, and break later forks.
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch has no types here
    return list(range(torch.cuda.device_count())) if in_use else []
