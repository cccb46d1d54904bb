"""An alarm that rings after some processor time, whatever the clock says."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def processor_alarm(seconds: float, ring: Callable[[], None], again: float = 0.0) -> Iterator[None]:
    """Call `ring`, which may raise, in the block once this process has used so many seconds.

    And then after `again` more each time (0: once). Only in the main thread, and only where the
    system has such a timer; elsewhere it never rings.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        ring()

    before: Any = signal.signal(signal.SIGPROF, handle)
    signal.setitimer(signal.ITIMER_PROF, seconds, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
