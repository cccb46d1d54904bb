"""A bound on the judge's own work in one test: decoding what came back, and checking it.

What a student returns decides how much work that is, so its time is the student's too. Processor
time is counted, not the clock: while the judge waits for a worker it uses none, and a busy machine
costs nobody points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from autograder.graders.toolkit.failures import TimedOut
from autograder.processor_alarm import processor_alarm

JUDGE_SECONDS = 20.0  # of processor time beyond the test's own limit
AGAIN_SECONDS = 5.0  # in case that a grader swallows the exception


class CheckTimedOut(TimedOut):
    """The judge's work on one test took too long."""


class GraderTooSlow(Exception):
    """So it did before anything of the student's was asked for."""


@contextmanager
def watchdog(seconds: float, asked: Callable[[], bool]) -> Iterator[None]:
    """Raise in the block after so many seconds of the judge's processor time.

    CheckTimedOut if the student's code was `asked` for something by then, else GraderTooSlow. Only
    in the main thread, and only where the system has such a timer.
    """

    def end() -> None:
        if asked():
            raise CheckTimedOut("checking what your code returned took longer than the time limit")
        raise GraderTooSlow(f"the check used {seconds:g} s of processor time by itself")

    with processor_alarm(seconds, end, AGAIN_SECONDS):
        yield
