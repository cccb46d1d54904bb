"""What a grader is written with, and the only door to the rest of the kit.

An exercise is declared once (`exercises`), with its reference and its agreement (`agreements`); its
checks are generators of cases, or ordinary pytest functions with the fixtures `student` (the
student's functions, called in the worker), `rng` (keyed random draws) and, for partial credit,
`credit`:

    sparsity = Exercise("s1.sparsity", reference=share_of_zeros, agreement=agreements.number())

    @sparsity.check(weight=2)
    def test_shapes(rng):
        \"\"\"Of a tensor with any number of dimensions, the share of zeros is returned.\"\"\"
        for shape in ((20,), (7, 3), (4, 3, 2, 3)):
            yield case(zeros_at_random(rng.normal(*shape), rng))

The first line of the docstring is the property that the student reads. What a check says beyond it
is a fact about what came back (`expect_int`, …) or advice (`check`: "Worth checking: …"). Neither
holds an input or an expected value, and no check guesses at the cause: naming it is left to the
known mistakes in a session's folder `mistakes/`, which are tried on the very inputs that failed.
"""

from __future__ import annotations

from autograder.graders.toolkit import agreements
from autograder.graders.toolkit.exercises import Case, Exercise, case
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
from autograder.graders.toolkit.inputs import RandomInputs, drawn_once
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
from autograder.graders.toolkit.returned_files import HAS_TENSORRT, ReturnedFiles, comparable
from autograder.graders.toolkit.round_trips import round_trips

__all__ = [
    "HAS_TENSORRT",
    "CallbackError",
    "Case",
    "Exercise",
    "Failure",
    "Handle",
    "Optimizer",
    "RandomInputs",
    "Ref",
    "ReturnedFiles",
    "StudentError",
    "StudentFailure",
    "agreements",
    "allclose",
    "case",
    "check",
    "close",
    "comparable",
    "describe",
    "drawn_once",
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
