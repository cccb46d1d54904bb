# Generated from solutions/s6_export/tests/test_public_onnx_quantization.py by `autograder release`: change it there.
"""Public tests of onnx_quantization.py; see test_public_onnx_export.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from autograder.graders.toolkit import (
    Exercise,
    ReturnedFiles,
    allclose,
    check,
    expect_list,
    expect_str,
    expect_tensor,
    expect_value_error,
)

CalibrationReader = Exercise("s6.CalibrationReader")


@CalibrationReader.check(visibility="visible")
def test_two_batches(student: Any) -> None:
    """Two batches, None, and after a rewind the first one again."""
    batches = [np.full((1, 2), value, np.float32) for value in (1, 2)]
    reader = student.CalibrationReader(batches, "x")
    for value in (1, 2):
        given = student.invoke(reader, "get_next")
        check(isinstance(given, dict) and list(given) == ["x"], '{"x": batch}')
        check(bool((given["x"] == value).all()), "in order")
    check(student.invoke(reader, "get_next") is None, "None after the last one")
    student.invoke(reader, "rewind")
    check(student.invoke(reader, "get_next") is not None, "and again after a rewind")


quantize_static = Exercise("s6.quantize_static")


@quantize_static.check(visibility="visible", seconds=30)
def test_a_matrix_in_int8(student: Any) -> None:
    """A Gemm with 64 x 64 weights is a third as large, and close to the float one."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(64, 64)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "example",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 64])],
        [numpy_helper.from_array(weight, "w")],
    )
    imports = [helper.make_opsetid("", 21)]
    content = helper.make_model(graph, opset_imports=imports, ir_version=10).SerializeToString()
    images = rng.normal(size=(32, 64)).astype(np.float32)
    files = ReturnedFiles(student)
    data = files.returned("quantize_static", content, [images[:16], images[16:]])
    check(len(data) < 0.45 * len(content), "weights in int8")
    (outputs,) = files.outputs(data, "x", [images])
    check(float(np.abs(outputs - images @ weight.T).mean()) < 0.3, "close to the float outputs")
    expect_value_error(student.quantize_static, content, [images[:, :10]])


cache_key = Exercise("s6.cache_key")


@cache_key.check(visibility="visible")
def test_other_images_other_key(student: Any) -> None:
    """Another file, or other images, have another key."""
    images = np.arange(6, dtype=np.float32).reshape(2, 3)
    keys = [
        expect_str(student.cache_key(content, [batch]), "cache_key")
        for content in (b"one", b"two")
        for batch in (images, images + 1)
    ]
    check(len(set(keys)) == 4, "four different keys")
    check(student.cache_key(b"one", [images]) == keys[0], "the same arguments, the same key")


smooth = Exercise("s6.smooth")


@smooth.check(visibility="visible")
def test_one_outlier(student: Any) -> None:
    """Inputs up to 16 and weights up to 4: s = 16**0.5 / 4**0.5 = 2; the other channel's is 1."""
    weight = torch.tensor([[4.0, 1.0], [-2.0, 0.5]])
    smoothed, scales = expect_list(student.smooth(weight, torch.tensor([16.0, 1.0])), "smooth", 2)
    check(allclose(expect_tensor(scales, "scales", (2,)), torch.tensor([2.0, 1.0])), "2 and 1")
    expected = torch.tensor([[8.0, 1.0], [-4.0, 0.5]])
    check(allclose(expect_tensor(smoothed, "weight", (2, 2)), expected), "columns times s")


awq_scales = Exercise("s6.awq_scales")


@awq_scales.check(visibility="visible")
def test_positive_scales(student: Any) -> None:
    """One positive scale for each input; the loud one's is the largest."""
    generator = torch.Generator().manual_seed(0)
    weight, inputs = (torch.randn(n, 8, generator=generator) for n in (16, 50))
    inputs[:, 3] *= 40
    scales = expect_tensor(student.awq_scales(weight, inputs, 3, None, 10), "awq_scales", (8,))
    check(bool((scales > 0).all()) and int(scales.argmax()) == 3, "channel 3 is loud")


KVCache = Exercise("s6.KVCache")


@KVCache.check(visibility="visible")
def test_two_tokens_that_wait(student: Any) -> None:
    """Two waiting tokens of 1 head and 2 channels: 8 numbers of 2 bytes; equal keys, mean value."""
    cache = student.KVCache(4, 8)
    keys, values = torch.zeros(2, 1, 2), torch.tensor([[[1.0, 2.0]], [[3.0, 6.0]]])
    student.invoke(cache, "append", keys, values)
    found = student.invoke(cache, "attend", torch.tensor([[1.0, 1.0]]))
    expected = torch.tensor([[2.0, 4.0]])
    check(allclose(expect_tensor(found, "attend", (1, 2)), expected), "the mean of the values")
    check(student.get(cache, "nbytes") == 16, "nothing is coded yet")


pack_2_4 = Exercise("s6.pack_2_4")


@pack_2_4.check(visibility="visible")
def test_one_four(student: Any) -> None:
    """(0, 5, 0, -1) becomes two values and one byte, and comes back."""
    weight = torch.tensor([[0.0, 5.0, 0.0, -1.0]])
    values, metadata = expect_list(student.pack_2_4(weight), "pack_2_4", 2)
    check(values.numel() == 2 and metadata.numel() == 1, "2 values, 1 byte")
    back = expect_tensor(student.unpack_2_4(values, metadata), "unpack_2_4", (1, 4))
    check(torch.equal(back, weight), "every value at its place")
