"""How a test can end otherwise than passed. Each exception maps to one outcome.

Failure                    a property does not hold: what checks raise
StudentFailure             never the grader's fault
├── StudentError           the code raised; `kind` is the class name, `is_value_error` a fact
│   └── LeftChanged        a call left something global changed, such as the default dtype
├── TimedOut               a call, an exercise or the submission passed its deadline
├── OutOfMemory            the worker grew past its limit, or raised MemoryError
├── Died                   the worker's process ended: exit, signal, closed channel
├── Missing                the file that holds the exercise is absent, empty or unreadable
└── Refused                junk on the channel, or a system call that is not allowed
"""

from __future__ import annotations

from autograder.records import Outcome


class Failure(Exception):
    """A property does not hold; the text is the hint that the student reads."""


class StudentFailure(Exception):
    """Base: `outcome` is what the test ends in, `str(error)` a plain sentence for the student."""

    outcome = Outcome.CRASHED

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class StudentError(StudentFailure):
    """The student's code raised an exception."""

    def __init__(
        self,
        kind: str,
        text: str = "",
        where: str = "",
        is_value_error: bool = False,
        detail: str = "",
    ) -> None:
        place = f" at {where}" if where else ""
        super().__init__(f"your code raised {kind}{place}" + (f": {text}" if text else ""), detail)
        self.kind = kind
        self.text = text
        self.where = where
        self.is_value_error = is_value_error


class LeftChanged(StudentError):
    """A call left something global changed; `text` says what."""

    outcome = Outcome.FAILED

    def __str__(self) -> str:
        return self.text


class TimedOut(StudentFailure):
    """A deadline of the judge passed."""

    outcome = Outcome.TIMED_OUT


class OutOfMemory(StudentFailure):
    """The worker's resident memory passed the limit."""

    outcome = Outcome.OUT_OF_MEMORY


class Died(StudentFailure):
    """The worker's process ended without an answer."""


class Missing(StudentFailure):
    """There is no code to be run."""

    outcome = Outcome.MISSING


class Refused(StudentFailure):
    """The worker broke the protocol or touched what it may not."""

    outcome = Outcome.REFUSED
