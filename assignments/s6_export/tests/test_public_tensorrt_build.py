# Generated from solutions/s6_export/tests/test_public_tensorrt_build.py by `autograder release`: change it there.
"""Public tests of tensorrt_build.py; see test_public_onnx_export.py.

Without tensorrt_rtx on your machine engines are not built here; the hidden graders' machine may
have it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from autograder.graders.toolkit import (
    HAS_TENSORRT,
    Exercise,
    ReturnedFiles,
    StudentError,
    check,
    comparable,
    expect_list,
    expect_record,
    expect_value_error,
    fail,
)
from shared.records import Profile


def example(kind: str) -> bytes:
    """Inputs (N, 3), a MatMul with the weight `w` (3, 2), then the operator `kind`."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["input", "w"], ["m"], name="product"),
            helper.make_node(kind, ["m"], ["output"], name="last"),
        ],
        "example",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(3, 2), "w")],
    )
    imports = [helper.make_opsetid("", 18)]
    data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return data


optimization_profile = Exercise("s6.optimization_profile")


@optimization_profile.check(visibility="visible")
def test_batches_of_1_to_8(student: Any) -> None:
    """From (1, 3) to (8, 3), tuned for (4, 3); 9 is more than 8."""
    profile = student.optimization_profile([1, 3], [4, 3], [8, 3])
    fields = expect_record(profile, Profile, "optimization_profile")
    check(fields == ("input", (1, 3), (4, 3), (8, 3)), "name and three tuples")
    expect_value_error(student.optimization_profile, [1, 3], [9, 3], [8, 3])
    expect_value_error(student.optimization_profile, [0, 3], [4, 3], [8, 3])


to_float16 = Exercise("s6.to_float16")


@to_float16.check(visibility="visible")
def test_half_inside_float_outside(student: Any) -> None:
    """The weight is float16, input and output are float32."""
    files = ReturnedFiles(student)
    data = files.returned("to_float16", example("Relu"))
    check(files.types(data) == {"FLOAT16": 6}, "6 weights in float16")
    (outputs,) = files.outputs(data, "input", [np.ones((2, 3), np.float32)])
    check(outputs.dtype == np.float32, "the output is float32")
    check(np.allclose(outputs, [[6.0, 9.0]] * 2), "0 + 2 + 4 and 1 + 3 + 5")


unsupported_nodes = Exercise("s6.unsupported_nodes")


@unsupported_nodes.check(visibility="visible")
def test_bernoulli_is_refused(student: Any) -> None:
    """TensorRT has no Bernoulli, and takes Relu."""
    expect_value_error(student.unsupported_nodes, b"")
    if HAS_TENSORRT:
        found = expect_list(student.unsupported_nodes(example("Bernoulli")), "unsupported_nodes")
        check([tuple(each) for each in found] == [("last", "Bernoulli")], "name and operator")
        check(student.unsupported_nodes(example("Relu")) == [], "nothing is refused")


build_engine = Exercise("s6.build_engine")


@build_engine.check(visibility="visible", seconds=30)
def test_an_engine_for_one_target(student: Any) -> None:
    """An engine for compute capability 8.6; without a builder, an error that names the package."""
    profile = Profile("input", (1, 3), (4, 3), (8, 3))
    arguments = (example("Relu"), ["8.6"], profile, 1 << 24)
    expect_value_error(student.build_engine, b"", *arguments[1:])
    expect_value_error(student.build_engine, arguments[0], ["0.1"], *arguments[2:])
    files = ReturnedFiles(student)
    if HAS_TENSORRT:
        data = files.returned("build_engine", *arguments)
        fields = [profile.name, profile.minimum, profile.optimum, profile.maximum]
        own = files.engine(arguments[0], ["8.6"], fields, 1 << 24)
        check(comparable(data) == own, "the engine that these settings and no others give")
        return
    try:
        student.build_engine(*arguments)
    except StudentError as error:
        check("tensorrt_rtx" in error.text, "the error names the package that is missing")
    else:
        fail("build_engine should raise RuntimeError without tensorrt_rtx")
