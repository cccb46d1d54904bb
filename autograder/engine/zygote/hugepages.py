"""Puts the zygote's heap on huge pages, so that a fork has few page tables to copy.

Importing torch fills about 250 MB of private memory, 65,000 pages whose entries every fork copies
and every exit frees. Collapsed into pages of 2 MB (Linux 6.1 and later), a fork with its exit takes
about a third of the processor time; `benchmarks/forks.py` measures it, and what collapsing takes,
which is why a small batch goes without. It has to be done before the first fork, or the old pages
stay with that one, and memory is taken twice. A page that a worker writes to is split again and
copied by 4 kB, as before.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

MADV_COLLAPSE = 25
HUGE = 2 << 20


def collapse() -> int:
    """Collapse this process's private memory; returns the number of huge pages made.

    Harmless where the kernel cannot: 0.
    """
    if sys.platform != "linux":
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return sum(libc.madvise(start, HUGE, MADV_COLLAPSE) == 0 for start in _aligned_ranges())


def _aligned_ranges() -> Iterator[int]:
    """Starts of the aligned 2 MB ranges within private, writable memory that no file backs."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        span, rights, _offset, _device, inode, *path = line.split(maxsplit=5)
        if inode != "0" or rights[1:4] != "w-p" or path not in ([], ["[heap]"]):
            continue
        low, high = (int(text, 16) for text in span.split("-"))
        yield from range(-(-low // HUGE) * HUGE, high // HUGE * HUGE, HUGE)
