# Generated from solutions/s6_export/tests/test_public_onnx_export.py by `autograder release`: change it there.
"""Public tests of onnx_export.py: small cases whose answers you can work out on paper.

`autograder check s6` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from autograder.graders.toolkit import (
    Exercise,
    ReturnedFiles,
    check,
    close,
    expect_record,
    expect_value_error,
)
from shared.records import Comparison, Summary

WEIGHT = np.array([[1.0, -2.0, 0.0], [3.0, 0.5, 1.0]], np.float32)


def gemm_file() -> bytes:
    """Inputs (N, 3), one Gemm with the weight (2, 3) `w` and the bias `b`, outputs (N, 2)."""
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["input", "w", "b"], ["output"], transB=1, name="layer")],
        "example",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", 2])],
        [numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(WEIGHT[:, 1], "b")],
    )
    imports = [helper.make_opsetid("", 18)]
    data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return data


def image_file() -> bytes:
    """Images (N, 2, 1, 1) through a Relu."""
    shape = ["N", 2, 1, 1]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["output"])],
        "example",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    imports = [helper.make_opsetid("", 18)]
    data: bytes = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    return data


export_onnx = Exercise("s6.export_onnx")


@export_onnx.check(visibility="visible", seconds=60)
def test_linear_layer(student: Any) -> None:
    """A Linear layer behind a Dropout computes weight times input plus bias, for any batch."""
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(3, 2)).train()
    with torch.no_grad():
        model[1].weight.copy_(torch.from_numpy(WEIGHT))
        model[1].bias.zero_()
    files = ReturnedFiles(student)
    data = files.returned("export_onnx", model, torch.zeros(1, 3))
    facts = files.facts(data)
    check(list(facts["inputs"]) == ["input"], "the input is called input")
    check(facts["opset"] == 21, "the default opset is 21")
    images = np.eye(3, dtype=np.float32)
    (outputs,) = files.outputs(data, "input", [images])
    check(np.allclose(outputs, WEIGHT.T, atol=1e-6), "the columns of the weight")
    expect_value_error(student.export_onnx, model, torch.zeros(1, 3), opset=17)


embed_preprocessing = Exercise("s6.embed_preprocessing")


@embed_preprocessing.check(visibility="visible")
def test_two_pixels(student: Any) -> None:
    """255 and 51 become (1 - 0.5) / 0.25 = 2 and (0.2 - 0.1) / 0.5 = 0.2."""
    files = ReturnedFiles(student)
    data = files.returned("embed_preprocessing", image_file(), [0.5, 0.1], [0.25, 0.5])
    pixels = np.array([255, 51], np.uint8).reshape(1, 2, 1, 1)
    (outputs,) = files.outputs(data, "input", [pixels])
    check(np.allclose(outputs.ravel(), [2.0, 0.2], atol=1e-6), "(x / 255 - mean) / std")
    expect_value_error(student.embed_preprocessing, image_file(), [0.5], [0.25])


onnx_summary = Exercise("s6.onnx_summary")


@onnx_summary.check(visibility="visible")
def test_one_gemm(student: Any) -> None:
    """A weight of 6 and a bias of 2 elements: 8 parameters in 32 bytes."""
    fields = expect_record(student.onnx_summary(gemm_file()), Summary, "onnx_summary")
    inputs, _, operators, parameters, size, opset = fields
    check(tuple(inputs["input"][1]) == ("N", 3), 'inputs: {"input": ("float32", ("N", 3))}')
    check(operators == {"Gemm": 1}, "operators: type to number of nodes")
    check((parameters, size, opset) == (8, 32, 18), "8 parameters, 32 bytes, opset 18")
    expect_value_error(student.onnx_summary, b"")


compare_outputs = Exercise("s6.compare_outputs")


@compare_outputs.check(visibility="visible")
def test_two_rows(student: Any) -> None:
    """Differences of 0, 0.5, 1 and 0; the argmax of the second row is another."""
    a, b = np.array([[1.0, 2.5], [3.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 2.0]])
    b[1, 1] = 2.0 + 1e-9
    result = expect_record(student.compare_outputs(a, b, 0.0, 0.6), Comparison, "compare_outputs")
    check(close(result[0], 1.0) and close(result[1], 0.375, 1e-6), "largest 1, mean 0.375")
    check(result[2] == 0.5 and result[3] is False, "half of the rows agree; 1 is above 0.6")


store_low_bit = Exercise("s6.store_low_bit")


@store_low_bit.check(visibility="visible")
def test_codes_times_scales(student: Any) -> None:
    """Codes (1, -2, 0) with scale 0.5 and (7, 1, 2) with scale 1, in 4 bits."""
    codes, scale = np.array([[1, -2, 0], [7, 1, 2]]), np.array([0.5, 1.0], np.float32)
    files = ReturnedFiles(student)
    data = files.returned("store_low_bit", gemm_file(), "w", codes, scale, 4)
    (outputs,) = files.outputs(data, "input", [np.eye(3, dtype=np.float32)])
    expected = (codes * scale[:, None]).T + WEIGHT[:, 1]
    check(np.allclose(outputs, expected, atol=1e-6), "codes times the scale of their row, and bias")
    check(files.types(data).get("INT4") == 6, "6 codes of 4 bits")
    check(files.facts(data)["opset"] == 21, "4 bits need opset 21")


store_codebook = Exercise("s6.store_codebook")


@store_codebook.check(visibility="visible")
def test_entries_by_label(student: Any) -> None:
    """Labels 0, 1, 2 stand for 0, -1 and 4."""
    codebook, labels = np.array([0.0, -1.0, 4.0], np.float32), np.array([[0, 1, 2], [2, 2, 0]])
    files = ReturnedFiles(student)
    data = files.returned("store_codebook", gemm_file(), "w", codebook, labels)
    (outputs,) = files.outputs(data, "input", [np.eye(3, dtype=np.float32)])
    expected = codebook[labels].T + WEIGHT[:, 1]
    check(np.allclose(outputs, expected, atol=1e-6), "the entries, and the bias")
    check(files.types(data).get("UINT8") == 6, "6 labels of 8 bits")
    model = onnx.load_model_from_string(gemm_file())
    check(len(data) < len(model.SerializeToString()) + 300, "labels, entries, and two nodes")
