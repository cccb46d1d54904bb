"""What a grader is written with: markers, random draws and checks on returned values.

A grader is a pytest function with the fixture `student` (the student's functions, called in the
worker), `rng` (keyed random draws) and, for partial credit, `credit`:

    @exercise("s1.sparsity")
    @weight(2)
    def test_counts_exact_zeros(student, rng):
        \"\"\"The share of exact zeros of a tensor is returned.\"\"\"
        tensor = rng.normal(6, 7)
        tensor[0] = 0.0
        value = expect_float(student.sparsity(tensor), "sparsity")
        check(close(value, 1 / 6), "count elements that are exactly 0, divide by all elements")

The first line of the docstring is the property that the student reads; the text of `check` is
the hint. Neither may hold an input or an expected value. `assert condition, "hint"` works too.
"""

from __future__ import annotations

from autograder.graders.toolkit.expectations import (
    allclose,
    check,
    close,
    describe,
    expect_bool,
    expect_dict,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_str,
    expect_tensor,
    expect_value_error,
    fail,
    property_of,
)
from autograder.graders.toolkit.failures import Failure, StudentError, StudentFailure
from autograder.graders.toolkit.inputs import RandomInputs
from autograder.graders.toolkit.markers import (
    exercise,
    guard,
    limit,
    number,
    reads_thresholds,
    visibility,
    weight,
)
from autograder.graders.toolkit.objects import CallbackError, Handle, Optimizer, Ref
from autograder.graders.toolkit.round_trips import round_trips

__all__ = [
    "CallbackError",
    "Failure",
    "Handle",
    "Optimizer",
    "RandomInputs",
    "Ref",
    "StudentError",
    "StudentFailure",
    "allclose",
    "check",
    "close",
    "describe",
    "exercise",
    "expect_bool",
    "expect_dict",
    "expect_float",
    "expect_int",
    "expect_list",
    "expect_record",
    "expect_str",
    "expect_tensor",
    "expect_value_error",
    "fail",
    "guard",
    "limit",
    "number",
    "property_of",
    "reads_thresholds",
    "round_trips",
    "visibility",
    "weight",
]
