"""An exercise is declared once: its reference, and how results are compared with it.

    conv2d_macs = Exercise(
        "s1.conv2d_macs",
        reference=macs_by_windows,
        agreement=whole_number,
    )

    @conv2d_macs.check(weight=2)
    def test_groups(rng):
        \"\"\"Each group sees only its share of the input channels.\"\"\"
        yield case(8, 12, 3, (9, 7), groups=rng.choice([2, 4]))

A check that yields cases calls the student's function on each and compares what comes back with
the reference. An ordinary function with `student` (and `rng`, `credit`, …) does as it likes. The
first line of a docstring is the property that the student reads.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from autograder.graders.toolkit.expectations import expect_value_error, fail, rendered
from autograder.graders.toolkit.failures import Failure
from autograder.graders.toolkit.inputs import RandomInputs
from autograder.records import Visibility

Agreement = Callable[[Any, Any, str], bool]
"""Whether (what came back, what is expected, the function's name) agree.

Raises Failure, which says what came back, for a value of another type, shape or dtype.
"""
Grader = Callable[..., Any]

UNKNOWN: Any = object()


@dataclass(frozen=True)
class Case:
    """One call of the student's function; `expected` is what the reference gives if not stated."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    expected: Any = UNKNOWN

    def gives(self, expected: Any) -> Case:
        """The same call with a stated result."""
        return Case(self.args, self.kwargs, expected)


def case(*args: Any, **kwargs: Any) -> Case:
    """A call of the student's function with these arguments."""
    return Case(args, kwargs)


class Exercise:
    """What graders know of one exercise of course.yaml.

    Args:
        exercise_id: such as `s1.conv2d_macs`; what follows the first point is the function's name.
        reference: an independent, slow and plain implementation, for checks that yield cases.
        agreement: compares a result with the reference's, see `agreements`.
    """

    def __init__(
        self,
        exercise_id: str,
        *,
        reference: Callable[..., Any] | None = None,
        agreement: Agreement | None = None,
    ) -> None:
        self.id = exercise_id
        self.name = exercise_id.partition(".")[2]
        self.reference = reference
        self.agreement = agreement

    def check(
        self,
        weight: float = 1.0,
        *,
        guard: bool = False,
        essential: bool = False,
        seconds: float | None = None,
        visibility: Visibility | str | None = None,
    ) -> Callable[[Grader], Grader]:
        """Decorator of one check of this exercise.

        Args:
            weight: its share of the exercise's points.
            guard: a degenerate answer passes it too; counts only beside an ordinary check.
            essential: what the exercise is about; without it at most half of its points are earned.
            seconds: another time limit than course.yaml's `test_seconds`.
            visibility: when a student sees it; by default the exercise's.
        """

        def declare(function: Grader) -> Grader:
            test: Any = function
            if inspect.isgeneratorfunction(function):
                test = self._test_of(function, Visibility(visibility) if visibility else None)
            test.__exercise__ = self.id
            test.__declaration__ = self
            test.__weight__ = weight
            test.__guard__ = guard
            test.__essential__ = essential
            if seconds is not None:
                test.__seconds__ = seconds
            if visibility is not None:
                test.__visibility__ = Visibility(visibility)
            return test  # type: ignore[no-any-return]

        return declare

    def refuses(
        self, *cases: Case | Callable[[RandomInputs], Case], title: str, weight: float = 1.0
    ) -> Grader:
        """A guard: each call raises ValueError. Assign it to a name that starts with `test_`.

        `title` is the property that the student reads.
        """

        def test(student: Any, rng: RandomInputs) -> None:
            for each in cases:
                call = each(rng) if callable(each) else each
                expect_value_error(getattr(student, self.name), *call.args, **call.kwargs)

        test.__doc__ = title
        test.__module__ = sys._getframe(1).f_globals["__name__"]
        return self.check(weight, guard=True)(test)

    def _test_of(self, cases_of: Grader, visibility: Visibility | None) -> Grader:
        takes_rng = bool(inspect.signature(cases_of).parameters)

        def test(student: Any, rng: RandomInputs) -> None:
            cases = list(cases_of(rng) if takes_rng else cases_of())
            self._compare(student, cases, visibility is Visibility.VISIBLE)

        for name in ("__name__", "__qualname__", "__doc__", "__module__"):
            setattr(test, name, getattr(cases_of, name))
        return test

    def _compare(self, student: Any, cases: Sequence[Case], public: bool) -> None:
        # Expected values first: a fault of ours is one before the student's code is asked.
        expected = [self._expected(each) for each in cases]
        if not cases:
            raise ValueError(f"{self.id}: the check has no cases")
        if self.agreement is None:
            raise ValueError(f"{self.id}: cases need an agreement")
        function = getattr(student, self.name)
        wrong = []
        for each, value in zip(cases, expected, strict=True):
            actual = function(*each.args, **each.kwargs)
            if not self.agreement(actual, value, self.name):
                if public:
                    fail(
                        f"the value is not right\ncall: {_call(self.name, each)}\n"
                        f"expected: {rendered(value)}\nactual: {rendered(actual)}"
                    )
                wrong.append(each)
        if wrong:
            raise Failure(_share(len(wrong), len(cases)))

    def _expected(self, each: Case) -> Any:
        if each.expected is not UNKNOWN:
            return each.expected
        if self.reference is None:
            raise ValueError(f"{self.id}: a case without a stated result needs a reference")
        return self.reference(*copy.deepcopy(each.args), **copy.deepcopy(each.kwargs))


def _share(wrong: int, total: int) -> str:
    if total == 1:
        return "the value is not right"
    return f"{'all' if wrong == total else wrong} of {total} values are not right"


def _call(name: str, each: Case) -> str:
    shown = [*map(rendered, each.args)]
    shown += [f"{key}={rendered(value)}" for key, value in each.kwargs.items()]
    return f"{name}({', '.join(shown)})"
