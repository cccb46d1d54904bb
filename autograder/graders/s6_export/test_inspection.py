"""Graders of onnx_export.py: what is in a file, and whether two outputs agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from autograder.graders.s6_export.networks import (
    FLOAT,
    Array,
    damaged_files,
    drawn_network,
    file_of,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    case,
    check,
    close,
    expect_bool,
    expect_dict,
    expect_float,
    expect_int,
    expect_list,
    expect_record,
    expect_value_error,
)
from shared.records import Comparison, Summary

# ---- onnx_summary ------------------------------------------------------------------------------

PARAMETER_TYPES = ("FLOAT", "INT8", "INT4", "UINT4", "INT2", "UINT2")
WIDTHS = {
    **{"FLOAT": 32, "INT64": 64, "INT32": 32, "INT8": 8, "BOOL": 8},
    **{"INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2},
}


def counted(content: bytes) -> tuple[int, int]:
    """Parameters and bytes of the initialisers of one of our own files, one by one."""
    parameters = size = 0
    for tensor in onnx.load_model_from_string(content).graph.initializer:
        kind, elements = TensorProto.DataType.Name(tensor.data_type), math.prod(tensor.dims)
        parameters += elements if kind in PARAMETER_TYPES else 0
        size += math.ceil(elements * WIDTHS[kind] / 8)
    return parameters, size


def summary(student: Any, content: bytes) -> dict[str, Any]:
    """The student's summary by the names of its fields."""
    values = expect_record(student.onnx_summary(content), Summary, "onnx_summary")
    names = ("inputs", "outputs", "operators", "parameters", "initializer_bytes", "opset")
    return dict(zip(names, values, strict=True))


def ports(value: object, name: str) -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Inputs or outputs: name to dtype and shape."""
    found = {}
    for key, entry in expect_dict(value, name).items():
        kind, shape = expect_list(entry, f"{name}[...]", 2)
        found[key] = (kind, tuple(expect_list(shape, "a shape")))
    return found


def coded(rng: RandomInputs, bits: int, shape: tuple[int, ...], opset: int) -> bytes:
    """A file that multiplies its input by decoded integers of few bits, and adds others."""
    kind = rng.choice([f"INT{bits}", f"UINT{bits}"]) if bits < 8 else "INT8"
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind))
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "step"], ["weight"]),
        helper.make_node("DequantizeLinear", ["others", "step"], ["shift"]),
        helper.make_node("Mul", ["x", "weight"], ["m"]),
        helper.make_node("Add", ["m", "shift"], ["y"]),
    ]
    extents = list(shape)
    constants: dict[str, Any] = {"step": np.float32(rng.number(0.1, 1))}
    for name in ("codes", "others"):
        constants[name] = rng.integers(0, 1, *shape).numpy().astype(dtype)
    return file_of(nodes, {"x": (FLOAT, extents)}, {"y": (FLOAT, extents)}, constants, opset)


onnx_summary = Exercise("s6.onnx_summary")


@onnx_summary.check(weight=2)
def test_inputs_and_outputs(student: Any, rng: RandomInputs) -> None:
    """Inputs and outputs: name, NumPy's name of the dtype, shape; a free dimension by its name."""
    for kind in (TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.INT64):
        size, name = rng.integer(2, 9), rng.choice(["N", "batch", "images"])
        nodes = [helper.make_node("Cast", ["x"], ["y"], to=FLOAT)]
        nodes.append(helper.make_node("Relu", ["y"], ["z"]))
        outputs = {"y": (FLOAT, [name, 2, size]), "z": (FLOAT, [name, 2, size])}
        content = file_of(nodes, {"x": (kind, [name, 2, size])}, outputs, {})
        found = summary(student, content)
        dtype = {TensorProto.UINT8: "uint8", TensorProto.FLOAT16: "float16"}.get(kind, "int64")
        expected = {"x": (dtype, (name, 2, size))}
        check(ports(found["inputs"], "inputs") == expected, "inputs: {name: (dtype, shape)}")
        expected = dict.fromkeys(("y", "z"), ("float32", (name, 2, size)))
        check(ports(found["outputs"], "outputs") == expected, "outputs: {name: (dtype, shape)}")


@onnx_summary.check(weight=1)
def test_operators_are_counted(student: Any, rng: RandomInputs) -> None:
    """Each type of operator with its number of nodes."""
    kinds = [rng.choice(["Relu", "Abs", "Neg", "Sigmoid"]) for _ in range(rng.integer(6, 12))]
    names = ["x", *(f"t{number}" for number in range(len(kinds)))]
    nodes = [helper.make_node(k, [a], [b]) for k, a, b in zip(kinds, names, names[1:])]
    content = file_of(nodes, {"x": (FLOAT, [2])}, {names[-1]: (FLOAT, [2])}, {})
    found = expect_dict(summary(student, content)["operators"], "operators")
    check(found == {kind: kinds.count(kind) for kind in kinds}, "operators: {type: how many}")


def summed(content: bytes) -> Callable[[Any], None]:
    """Compare parameters and bytes with those of `content`."""
    parameters, size = counted(content)

    def compare(found: dict[str, Any]) -> None:
        hint = "parameters: elements of float, int8, int4, uint4, int2 and uint2 initialisers"
        check(expect_int(found["parameters"], "parameters") == parameters, hint)
        hint = "initializer_bytes: of each initialiser ceil(elements * bits / 8)"
        check(expect_int(found["initializer_bytes"], "initializer_bytes") == size, hint)

    return compare


@onnx_summary.check(weight=2, essential=True)
def test_floats_are_counted(student: Any, rng: RandomInputs) -> None:
    """Weights and biases in float32: elements, and four bytes each."""
    for transposed in (True, False):
        content = drawn_network(rng, transposed=transposed).content
        summed(content)(summary(student, content))


@onnx_summary.check(weight=2)
def test_few_bits_are_counted(student: Any, rng: RandomInputs) -> None:
    """Weights of 8, 4 and 2 bits take as many bits as they have, also an odd number of them."""
    for bits, opset in ((8, 19), (4, 21), (2, 25)):
        for shape in ((3, rng.choice([3, 5, 7])), (rng.integer(2, 5), 8)):
            content = coded(rng, bits, shape, opset)
            summed(content)(summary(student, content))


@onnx_summary.check(weight=1)
def test_shapes_are_no_parameters(student: Any, rng: RandomInputs) -> None:
    """Integers that say where data goes, and masks, have bytes but are no parameters."""
    size = rng.integer(2, 5)
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Gather", ["r", "places"], ["g"], axis=1),
        helper.make_node("Where", ["mask", "g", "other"], ["y"]),
    ]
    constants = {
        "shape": np.array([-1, 6], np.int64),
        "places": rng.integers(0, 5, size).numpy().astype(np.int32),
        "mask": (rng.uniform(size) < 0.5).numpy(),
        "other": rng.normal(size).numpy(),
    }
    content = file_of(nodes, {"x": (FLOAT, ["N", 2, 3])}, {"y": (FLOAT, ["N", size])}, constants)
    summed(content)(summary(student, content))


@onnx_summary.check(weight=1)
def test_opset_of_the_default_domain(student: Any, rng: RandomInputs) -> None:
    """The opset is that of ONNX's own operators, wherever it stands among the imports."""
    for foreign_first in (True, False):
        opset = rng.integer(18, 25)
        model = onnx.load_model_from_string(drawn_network(rng, opset=opset).content)
        own, foreign = model.opset_import[0], helper.make_opsetid("com.microsoft", 1)
        imports = [foreign, own] if foreign_first else [own, foreign]
        copies = [helper.make_opsetid(entry.domain, entry.version) for entry in imports]
        del model.opset_import[:]
        model.opset_import.extend(copies)
        found = summary(student, model.SerializeToString())
        check(expect_int(found["opset"], "opset") == opset, "the import of the default domain")


@onnx_summary.check(weight=0.7, guard=True)
def test_summary_refuses_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    for data in damaged_files(drawn_network(rng).content):
        expect_value_error(student.onnx_summary, data)


# ---- compare_outputs ---------------------------------------------------------------------------


def compared(a: Array, b: Array, rtol: float, atol: float) -> tuple[float, float, float, bool]:
    """Element by element, in Python's floats."""
    rows = [list(map(float, row)) for row in a], [list(map(float, row)) for row in b]
    pairs = [(x, y) for left, right in zip(*rows) for x, y in zip(left, right)]
    gaps = [abs(x - y) for x, y in pairs]
    same = [left.index(max(left)) == right.index(max(right)) for left, right in zip(*rows)]
    is_close = all(gap <= atol + rtol * abs(y) for gap, (_, y) in zip(gaps, pairs))
    return max(gaps), math.fsum(gaps) / len(gaps), sum(same) / len(same), is_close


def same_comparison(actual: object, expected: Any, name: str) -> bool:
    """Agreement of all four fields."""
    values = expect_record(actual, Comparison, name)
    labels = ("max_abs", "mean_abs", "argmax_agreement")
    numbers = [expect_float(v, label) for v, label in zip(values, labels)]
    pairs = zip(numbers, expected[:3], strict=True)
    is_close = expect_bool(values[3], "close")
    return all(close(a, b, 1e-6, 1e-30) for a, b in pairs) and is_close == expected[3]


compare_outputs = Exercise("s6.compare_outputs", reference=compared, agreement=same_comparison)


@compare_outputs.check(weight=3)
def test_distances(rng: RandomInputs) -> Any:
    """Largest and mean difference, and the share of rows with the same argmax."""
    for noise in (0.1, 1.0):
        b = rng.normal(rng.integer(15, 30), rng.integer(3, 9)).numpy()
        a = b + noise * rng.normal(*b.shape).numpy()
        yield case(a, b, 0.0, 1e-3)
        yield case(a[:1], b[:1], 0.0, 100.0)


@compare_outputs.check(weight=3, essential=True)
def test_tolerances(rng: RandomInputs) -> Any:
    """Close: |a - b| <= atol + rtol * |b| for every element; `b` is the reference."""
    for size in (1e-4, 1.0, 1e3):
        b = size * (1 + rng.uniform(8, 5).numpy().astype(np.float64))
        for step in (0.99, 1.01, 1.5):
            a = b.copy()
            place = rng.integer(0, 7), rng.integer(0, 4)
            rtol, atol = rng.number(1e-4, 1e-2), 1e-3 * size * rng.number(0.5, 1)
            a[place] += rng.choice([-1, 1]) * step * (atol + rtol * b[place])
            yield case(a, b, rtol, atol)
    b = np.full((3, 4), 1.0)
    b[1, 2] = 2.0
    a = b.copy()
    a[1, 2] = 4.0
    yield case(a, b, 0.6, 0.0)  # close only with `a` as reference
    yield case(b, a, 0.6, 0.0)


@compare_outputs.check(weight=1)
def test_double_precision(rng: RandomInputs) -> Any:
    """float32 and float16 outputs are compared in float64."""
    b = (1e4 * rng.normal(12, 6)).numpy()
    yield case((b * np.float32(1.001)).astype(np.float32), b, 1e-2, 0.0)
    half = rng.normal(12, 6).numpy().astype(np.float16)
    yield case(half, (half.astype(np.float32) * 1.0001).astype(np.float32), 1e-3, 1e-6)


@compare_outputs.check(weight=1)
def test_nan_is_never_close(student: Any, rng: RandomInputs) -> None:
    """A NaN on either side, or on both, is never close."""
    for where in ("a", "b", "ab"):
        a = rng.normal(6, 4).numpy()
        b = a.copy()
        for name, values in (("a", a), ("b", b)):
            if name in where:
                values[3, 1] = np.nan
        result = student.compare_outputs(a, b, 1.0, 100.0)
        fields = expect_record(result, Comparison, "the result")
        check(expect_bool(fields[3], "close") is False, "NaN agrees with nothing")
    a = rng.normal(6, 4).numpy()
    fields = expect_record(student.compare_outputs(a, a, 1.0, 100.0), Comparison, "the result")
    check(expect_bool(fields[3], "close") is True, "without a NaN, equal outputs are close")


test_shapes_that_differ = compare_outputs.refuses(
    lambda rng: case(rng.normal(4, 3).numpy(), rng.normal(4, 4).numpy(), 1e-3, 1e-3),
    lambda rng: case(rng.normal(1, 3).numpy(), rng.normal(4, 3).numpy(), 1e-3, 1e-3),
    lambda rng: case(rng.normal(4).numpy(), rng.normal(4).numpy(), 1e-3, 1e-3),
    lambda rng: case(rng.normal(2, 3, 4).numpy(), rng.normal(2, 3, 4).numpy(), 1e-3, 1e-3),
    title="Shapes that differ or have not two dimensions raise ValueError.",
    weight=0.8,
)
