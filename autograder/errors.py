"""Every error that a person is meant to read.

    AutograderError            one line that says what is wrong and what to do; exit code 2
    ├── CourseError            course.yaml: file, line, key, what was expected
    ├── ReleaseError           solutions/: file, line, which region
    ├── SubmissionError        a submission that cannot be read or unpacked
    ├── InputErrors            a CSV file from the staff: one line per mistake in `lines`
    └── EngineError            the engine itself failed; exit code 4

Only the command line turns these into text on a terminal and an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command (documented in docs/reference.md)."""

    OK = 0
    PROBLEMS = 1  # the command ran and has problems to report: failed checks, files out of sync
    USAGE = 2  # bad arguments or unreadable input
    PARTIAL = 3  # a batch finished, but some submissions ended in a tool error
    ENGINE = 4  # the engine itself failed
    INTERRUPTED = 130  # by Ctrl-C, as shells number it


class AutograderError(Exception):
    """Base of the errors above; `str(error)` is one line."""

    exit_code = ExitCode.USAGE


class CourseError(AutograderError):
    """course.yaml is missing, malformed or inconsistent."""


class ReleaseError(AutograderError):
    """A solution region is unbalanced, nested, empty or unknown, or the output is out of sync."""


class SubmissionError(AutograderError):
    """A submission cannot be read: not a zip, unsafe member, too large, missing file."""


class InputErrors(AutograderError):
    """A CSV file from the course staff has mistakes; `lines` has one line per mistake."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = tuple(lines)


class EngineError(AutograderError):
    """Judge, zygote or worker could not do their part for a reason that is not the student's."""

    exit_code = ExitCode.ENGINE
