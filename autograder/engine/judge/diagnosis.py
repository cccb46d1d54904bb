"""Which known mistakes explain the checks that failed.

A check calls the student's code and gets values back: its transcript. A known mistake is the
solution with one change. The same check, with the same draws, is run on it in another worker; if
every call gives what the student's code gave, and the check fails, the mistake explains it. A
mistake that would fail a check that the student's code passes is not the student's. Agreement may
be chance where the code always gives one answer: a mistake has to explain all its failures.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from autograder.engine.judge.mistakes import Mistake
from autograder.graders.toolkit.expectations import rendered
from autograder.graders.toolkit.failures import StudentError, StudentFailure
from autograder.graders.toolkit.objects import Handle
from autograder.records import KNOWN_MISTAKE, Outcome

MAX_TRANSCRIPT_BYTES = 64 << 20
RTOL, ATOL = 1e-4, 1e-6
SAME = "because of the same mistake"
A_FILE = "a file"


@dataclass
class Transcript:
    """What the calls of one check gave, in order; incomplete if it could not all be kept.

    That of a replay is `like` another: once it differs, the check has nothing more to find out.
    Results are kept as they are, not copied: a check leaves unchanged what it was given.
    """

    results: list[object] = field(default_factory=list)
    complete: bool = True
    shows_calls: bool = False
    like: Transcript | None = None
    last_call: str = ""
    _alike: int = 0  # results that were compared
    _before: int = 0  # results when it was made
    _bytes: int = 0

    def calls(self, name: str, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Keep how a function is called, if that may be shown."""
        if self.shows_calls:
            shown = [*map(rendered, args), *(f"{k}={rendered(v)}" for k, v in kwargs.items())]
            self.last_call = f"{name}({', '.join(shown)})"
            self._before = len(self.results)

    def shown(self) -> tuple[str, str]:
        """The last call and what it gave, for a public check; empty where that is not known."""
        answered = len(self.results) > self._before
        if not (self.last_call and answered) or isinstance(self.results[-1], Raised):
            return self.last_call, ""
        return self.last_call, rendered(self.results[-1])

    def add(self, result: object, size: int) -> None:
        """Keep a result that came in frames of so many bytes."""
        self._bytes += size
        self.complete = self.complete and self._bytes <= MAX_TRANSCRIPT_BYTES
        if self.complete:
            self.results.append(result)
        else:
            self.results.clear()

    def forget(self, count: int) -> None:
        """Drop all results after the first `count`: they were asked for again elsewhere."""
        del self.results[count:]
        self._alike = min(self._alike, count)

    def go_on(self) -> None:
        """Departed, before the next call, if what there is differs from what it should be like."""
        if self.like is None:
            return
        new, known = self.results[self._alike :], self.like.results[self._alike :]
        if not self.complete or len(new) > len(known) or not all(map(same, known, new)):
            raise Departed("a known mistake gives something else")
        self._alike = len(self.results)

    def is_file(self) -> None:
        """The last result is a file: that there is one counts, and what is measured of it next."""
        if self.complete:
            self.results[-1] = A_FILE

    def fail(self, failure: StudentFailure) -> None:
        """Keep how a call failed; what only the clock or the machine decides cannot be compared."""
        if isinstance(failure, StudentError):
            self.results.append(Raised(failure.kind, failure.is_value_error))
        else:
            self.complete = False


class Departed(StudentFailure):
    """The replay of a check gave something else than the student's code: it ends."""

    outcome = Outcome.FAILED


@dataclass(frozen=True)
class Raised:
    """An exception of the student's code."""

    kind: str
    is_value_error: bool


@dataclass(frozen=True)
class Attempt:
    """One run of a check: whether it failed (None: with part of the credit), and its transcript."""

    check: str
    failed: bool | None
    transcript: Transcript


Replay = Callable[[Mistake, int, Transcript | None], Attempt | None]
"""Runs check number `int` on a mistake, to its end or while its transcript is like another.

None when there is no time left.
"""


def diagnose(
    attempts: Sequence[Attempt], mistakes: Sequence[Mistake], replay: Replay
) -> dict[int, Mistake]:
    """Number of a failed check -> the mistake that explains it.

    Mistakes are tried on the first check that is not explained yet, and only those that explain it
    on all others, each on the checks alone that it may fail. The one that explains most checks is
    named; of two that explain as many, neither. Where the code always gives one answer, they have
    to explain all that fails.
    """
    failed = [i for i, one in enumerate(attempts) if one.failed and one.transcript.complete]
    passed = [i for i, one in enumerate(attempts) if one.failed is False]
    # How many failed checks each may explain at most; those that may explain more come first.
    reach = {
        mistake: sum(mistake.may_fail(attempts[index].check) for index in failed)
        for mistake in mistakes
    }
    explained: dict[int, Mistake] = {}
    try:
        for check in failed:
            if check in explained:
                continue
            others = [index for index in failed if index != check]
            most = 0
            best: list[tuple[Mistake, frozenset[int]]] = []
            for mistake in sorted(mistakes, key=lambda one: -reach[one]):
                if reach[mistake] < most:
                    break
                if not mistake.may_fail(attempts[check].check):
                    continue
                matches = _matches(mistake, attempts, [check, *others], passed, replay)
                if len(matches) > most:
                    most, best = len(matches), []
                if matches and len(matches) == most:
                    best.append((mistake, matches))
            if len(best) == 1:
                ((mistake, matches),) = best
                explained |= dict.fromkeys(matches.difference(explained), mistake)
    except _NoTime:
        pass  # what was found until now is true
    by_chance = always_one_answer([one.transcript for one in attempts])
    return {} if by_chance and len(explained) < len(failed) else explained


class _NoTime(Exception):
    """There is no time left for replays."""


def _matches(
    mistake: Mistake,
    attempts: Sequence[Attempt],
    failed: Sequence[int],
    passed: Sequence[int],
    replay: Replay,
) -> frozenset[int]:
    """The failed checks that a mistake explains; none if it does not explain the first of them."""

    def may_fail(index: int) -> bool:
        return mistake.may_fail(attempts[index].check)

    matches = set()
    for index in filter(may_fail, failed):
        known = attempts[index].transcript
        other = _tried(replay, mistake, index, known)
        if other.failed and same_results(known, other.transcript):
            matches.add(index)
        elif not matches:
            return frozenset()
    if any(_tried(replay, mistake, i).failed is not False for i in filter(may_fail, passed)):
        return frozenset()
    return frozenset(matches)


def _tried(replay: Replay, mistake: Mistake, index: int, like: Transcript | None = None) -> Attempt:
    attempt = replay(mistake, index, like)
    if attempt is None:
        raise _NoTime
    return attempt


def always_one_answer(transcripts: Sequence[Transcript]) -> bool:
    """Whether several calls gave numbers, texts or exceptions that are all the same one."""
    results = [each for one in transcripts for each in one.results if not isinstance(each, Handle)]
    if len(results) < 2:
        return False
    leaves = itertools.chain.from_iterable(map(_leaves, results))
    first = next(leaves, None)
    return all(leaf == first for leaf in leaves)


def _leaves(result: object) -> Iterator[object]:
    """The numbers, texts and exceptions in a result; of an array its first element, and whether
    all are the same."""
    if isinstance(result, Tensor):
        yield from _elements(result.detach().flatten())
    elif isinstance(result, np.ndarray):
        yield from _elements(result.reshape(-1))
    elif isinstance(result, list | tuple):
        yield from itertools.chain.from_iterable(map(_leaves, result))
    elif isinstance(result, dict):
        yield from itertools.chain.from_iterable(map(_leaves, result.values()))
    elif isinstance(result, nn.Module):
        yield from _leaves(dict(result.state_dict()))
    elif dataclasses.is_dataclass(result) and not isinstance(result, type | Raised):
        yield from _leaves([getattr(result, each.name) for each in dataclasses.fields(result)])
    else:
        yield "nan" if result != result else result


def _elements(flat: Any) -> Iterator[object]:
    if len(flat) == 0:
        return
    first = flat[0]
    yield from _leaves(first.item())
    if ((flat != first) & ((flat == flat) | (first == first))).any():
        yield object()  # no other leaf


def sentences(explained: Mapping[int, Mistake], failed: int) -> dict[int, str]:
    """Number of a check -> what the student reads: each mistake's sentence once."""
    texts: dict[int, str] = {}
    for mistake in dict.fromkeys(explained[index] for index in sorted(explained)):
        first, *others = sorted(index for index, one in explained.items() if one is mistake)
        reach = f" {len(others) + 1} of {failed} checks fail because of it." if others else ""
        texts[first] = KNOWN_MISTAKE + mistake.sentence + reach
        texts |= dict.fromkeys(others, SAME)
    return texts


# ---- comparison ----------------------------------------------------------------------------------


def same_results(one: Transcript, other: Transcript) -> bool:
    """Whether two complete transcripts hold the same results, numbers within rounding."""
    if not (one.complete and other.complete) or len(one.results) != len(other.results):
        return False
    return all(map(same, one.results, other.results))


def same(one: Any, other: Any) -> bool:
    """Whether two results are of one type and, within rounding, of one value."""
    if isinstance(one, Handle) or isinstance(other, Handle):
        return isinstance(one, Handle) and isinstance(other, Handle)  # what it holds is asked for
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return _same_tensors(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and _same_tensors(
            torch.from_numpy(one.copy()), torch.from_numpy(other.copy())
        )
    if isinstance(one, float):
        return (
            one == other
            or (one != one and other != other)
            or math.isclose(one, other, rel_tol=RTOL, abs_tol=ATOL)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, nn.Module):
        return repr(one) == repr(other) and same(dict(one.state_dict()), dict(other.state_dict()))
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        fields = [each.name for each in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in fields)
    return bool(one == other)


def _same_tensors(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not (one.is_floating_point() or one.is_complex()):
        return bool(torch.equal(one, other))
    scale = float(other.abs().nan_to_num(0.0, 0.0, 0.0).max()) if other.numel() else 0.0
    return bool(
        torch.allclose(one, other, rtol=RTOL, atol=ATOL * max(scale, 1e-30) + 1e-30, equal_nan=True)
    )
