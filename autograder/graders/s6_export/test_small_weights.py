"""Graders of onnx_export.py: weights of few bits, and codebooks, in the file."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import helper

from autograder.graders.s6_export.networks import (
    FLOAT,
    Array,
    DrawnNetwork,
    agree,
    damaged_files,
    drawn_network,
    file_of,
    images_for,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    ReturnedFiles,
    check,
    expect_value_error,
)

WEIGHTS = ("conv", "matmul", "gemm")
OPSETS = {8: 13, 4: 21, 2: 25}
ALLOWANCE = 300  # bytes of names and nodes


def drawn_codes(net: DrawnNetwork, name: str, bits: int, rng: RandomInputs) -> tuple[Array, Array]:
    """Codes over the whole range and a scale per channel, each quite another."""
    shape = net.weights[name].shape
    codes = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1, *shape).numpy()
    codes.flat[0], codes.flat[1] = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = rng.uniform(shape[net.channels(name)], low=0.2, high=2.0).numpy()
    return codes.astype(np.int64), scale / np.float32(2 ** (bits - 1))


def decoded(net: DrawnNetwork, name: str, codes: Array, scale: Array) -> Array:
    """Scale times codes, along the dimension of the output channels."""
    axes = [1] * codes.ndim
    axes[net.channels(name)] = -1
    weight: Array = codes * scale.reshape(axes)
    return weight


def saved(net: DrawnNetwork, data: bytes, name: str) -> int:
    """Bytes that the file has beyond what it had without the weight."""
    return len(data) - (len(net.content) - 4 * net.weights[name].size)


def others_stay(files: ReturnedFiles, net: DrawnNetwork, data: bytes, name: str) -> None:
    """All initialisers but one are there as before."""
    before, after = files.initializers(net.content), files.initializers(data)
    check(name not in after, "the float32 weight is still in the file")
    same = all(after.get(other) == value for other, value in before.items() if other != name)
    check(same, "the other initialisers stay bit by bit, under their names")


store_low_bit = Exercise("s6.store_low_bit")


def compare_stored(
    student: Any, rng: RandomInputs, names: tuple[str, ...], widths: tuple[int, ...], **options: Any
) -> None:
    """The file with codes computes what scale * codes computes."""
    files = ReturnedFiles(student)
    for name in names:
        for bits in widths:
            net = drawn_network(rng, **options)
            codes, scale = drawn_codes(net, name, bits, rng)
            data = files.returned("store_low_bit", net.content, name, codes, scale, bits)
            images = images_for(net, rng, 3)
            (outputs,) = files.outputs(data, "input", [images])
            expected = net.with_weight(name, decoded(net, name, codes, scale)).outputs(images)
            check(agree(outputs, expected, 3e-5), "the outputs are not those of scale * codes")


@store_low_bit.check(weight=2)
def test_convolutions(student: Any, rng: RandomInputs) -> None:
    """A convolution computes with scale * codes, in 8, 4 and 2 bits."""
    compare_stored(student, rng, ("conv",), (8, 4, 2))


@store_low_bit.check(weight=2)
def test_matrices(student: Any, rng: RandomInputs) -> None:
    """MatMul and Gemm compute with scale * codes, one scale for each output, however stored."""
    compare_stored(student, rng, ("matmul",), (8, 4))
    compare_stored(student, rng, ("gemm",), (8, 2), transposed=True)
    compare_stored(student, rng, ("gemm",), (8, 4), transposed=False)


@store_low_bit.check(weight=3, essential=True)
def test_bits_in_the_file(student: Any, rng: RandomInputs) -> None:
    """A weight takes its bits, a channel 4 bytes, with at most 300 bytes around it."""
    files = ReturnedFiles(student)
    for bits in (8, 4, 2):
        net, name = drawn_network(rng), rng.choice(WEIGHTS)
        codes, scale = drawn_codes(net, name, bits, rng)
        data = files.returned("store_low_bit", net.content, name, codes, scale, bits)
        most = -(-codes.size * bits // 8) + 4 * len(scale) + ALLOWANCE
        check(saved(net, data, name) <= most, "too many bytes: pack the codes, drop the floats")
        counted = files.stored(data, net.image, net.classes)
        hint = "counted as the final project does, the weight has another width"
        check(any(one[0] == codes.size and one[2] == bits for one in counted), hint)


@store_low_bit.check(weight=2)
def test_opset_follows_the_type(student: Any, rng: RandomInputs) -> None:
    """4 bits raise the opset to 21, 2 bits to 25, and none is lowered; only ONNX's own domain."""
    files = ReturnedFiles(student)
    for bits, given in ((8, 18), (4, 18), (4, 23), (2, rng.integer(19, 23)), (8, 25)):
        net = drawn_network(rng, opset=given)
        codes, scale = drawn_codes(net, "matmul", bits, rng)
        data = files.returned("store_low_bit", net.content, "matmul", codes, scale, bits)
        facts = files.facts(data)
        check(facts["domains"] == [], "operators of another domain")
        hint = "the first opset that has the type, unless the file's own is newer"
        check(facts["opset"] == max(given, OPSETS[bits]), hint)


@store_low_bit.check(weight=1)
def test_the_rest_of_the_file_stays(student: Any, rng: RandomInputs) -> None:
    """The other initialisers stay bit by bit, and new ones do not take their names."""
    files = ReturnedFiles(student)
    for name in WEIGHTS:
        net, bits = drawn_network(rng), rng.choice([8, 4, 2])
        codes, scale = drawn_codes(net, name, bits, rng)
        data = files.returned("store_low_bit", net.content, name, codes, scale, bits)
        others_stay(files, net, data, name)
    check(files.left_behind() == [], "nothing stays in the working or the temporary folder")


@store_low_bit.check(weight=0.6, guard=True)
def test_low_bits_refuse_other_arguments(student: Any, rng: RandomInputs) -> None:
    """Other widths, names, shapes, codes that do not fit and scales of 0 raise ValueError."""
    net, bits = drawn_network(rng), rng.choice([8, 4, 2])
    codes, scale = drawn_codes(net, "conv", bits, rng)
    call, content = student.store_low_bit, net.content
    for wrong in (3, 16, 1):
        expect_value_error(call, content, "conv", codes, scale, wrong)
    for name in ("nothing", "mean", "c"):
        expect_value_error(call, content, name, codes, scale, bits)
    for delta in (-(2 ** (bits - 1)) - 1, 2 ** (bits - 1)):
        wrong_codes = codes.copy()
        wrong_codes.flat[5] = delta
        expect_value_error(call, content, "conv", wrong_codes, scale, bits)
    expect_value_error(call, content, "conv", codes[1:], scale, bits)
    expect_value_error(call, content, "conv", codes, scale[1:], bits)
    for factor in (0.0, -1.0):
        wrong_scale = scale.copy()
        wrong_scale[rng.integer(0, len(scale) - 1)] *= np.float32(factor)
        expect_value_error(call, content, "conv", codes, wrong_scale, bits)
    twice = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Add", ["y", "w"], ["z"]),
    ]
    square = file_of(
        twice, {"x": (FLOAT, [3, 3])}, {"z": (FLOAT, [3, 3])}, {"w": np.ones((3, 3), np.float32)}
    )
    expect_value_error(call, square, "w", np.ones((3, 3), np.int64), np.ones(3, np.float32), 8)


@store_low_bit.check(weight=0.4, guard=True)
def test_low_bits_refuse_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    net = drawn_network(rng)
    codes, scale = drawn_codes(net, "conv", 8, rng)
    for data in damaged_files(net.content):
        expect_value_error(student.store_low_bit, data, "conv", codes, scale, 8)


# ---- store_codebook ----------------------------------------------------------------------------


def drawn_codebook(net: DrawnNetwork, name: str, k: int, rng: RandomInputs) -> tuple[Array, Array]:
    """`k` entries, one of them 0, and a label for each weight; the last entry is used."""
    codebook = rng.normal(k).numpy()
    codebook[rng.integer(0, k - 1)] = 0.0
    labels = rng.integers(0, k - 1, *net.weights[name].shape).numpy()
    labels.flat[3] = k - 1
    return codebook, labels


store_codebook = Exercise("s6.store_codebook")


@store_codebook.check(weight=3)
def test_outputs_of_shared_weights(student: Any, rng: RandomInputs) -> None:
    """The file computes with codebook[labels], for every kind of layer."""
    files = ReturnedFiles(student)
    for name, k in (("conv", 16), ("matmul", rng.integer(20, 99)), ("gemm", 5)):
        net = drawn_network(rng, transposed=rng.choice([True, False]))
        codebook, labels = drawn_codebook(net, name, k, rng)
        data = files.returned("store_codebook", net.content, name, codebook, labels)
        images = images_for(net, rng, 3)
        (outputs,) = files.outputs(data, "input", [images])
        expected = net.with_weight(name, codebook[labels]).outputs(images)
        check(agree(outputs, expected, 3e-5), "the outputs are not those of codebook[labels]")


@store_codebook.check(weight=2)
def test_labels_above_127(student: Any, rng: RandomInputs) -> None:
    """A codebook has up to 256 entries."""
    files, net = ReturnedFiles(student), drawn_network(rng)
    codebook, labels = drawn_codebook(net, "matmul", 256, rng)
    data = files.returned("store_codebook", net.content, "matmul", codebook, labels)
    images = images_for(net, rng, 3)
    (outputs,) = files.outputs(data, "input", [images])
    expected = net.with_weight("matmul", codebook[labels]).outputs(images)
    check(agree(outputs, expected, 3e-5), "labels are 0..255: no signed byte holds them")


@store_codebook.check(weight=3, essential=True)
def test_a_byte_for_each_weight(student: Any, rng: RandomInputs) -> None:
    """A weight takes one byte, an entry 4, with at most 300 bytes around them; zeros stay zeros."""
    files = ReturnedFiles(student)
    for name in WEIGHTS:
        net, k = drawn_network(rng), rng.integer(4, 30)
        codebook, labels = drawn_codebook(net, name, k, rng)
        data = files.returned("store_codebook", net.content, name, codebook, labels)
        most = labels.size + 4 * k + ALLOWANCE
        check(saved(net, data, name) <= most, "too many bytes: labels in uint8, no float32 weight")
        kinds = files.types(data)
        check(kinds.get("UINT8") == labels.size, "one uint8 for each weight")
        check("Gather" in files.operators(data), "a Gather looks the entries up")
        counted = [one[:2] for one in files.stored(data, net.image, net.classes)]
        nonzeros = int(np.count_nonzero(codebook[labels]))
        hint = "counted as the final project does, zeros of the codebook are not zeros any more"
        check([labels.size, nonzeros] in counted, hint)


@store_codebook.check(weight=1)
def test_everything_else_stays(student: Any, rng: RandomInputs) -> None:
    """The other initialisers stay bit by bit, and the file passes ONNX's full check."""
    files = ReturnedFiles(student)
    for name in WEIGHTS:
        net = drawn_network(rng)
        data = files.returned(
            "store_codebook", net.content, name, *drawn_codebook(net, name, 9, rng)
        )
        check(files.facts(data)["domains"] == [], "operators of another domain")
        others_stay(files, net, data, name)
    check(files.left_behind() == [], "nothing stays in the working or the temporary folder")


@store_codebook.check(weight=0.6, guard=True)
def test_codebooks_refuse_other_arguments(student: Any, rng: RandomInputs) -> None:
    """Labels out of range or of another shape, long codebooks and other names raise ValueError."""
    net = drawn_network(rng)
    codebook, labels = drawn_codebook(net, "matmul", 8, rng)
    call, content = student.store_codebook, net.content
    for wrong in (8, 9, -1):
        labels_outside = labels.copy()
        labels_outside.flat[7] = wrong
        expect_value_error(call, content, "matmul", codebook, labels_outside)
    expect_value_error(call, content, "matmul", codebook, labels[1:])
    expect_value_error(call, content, "matmul", rng.normal(257).numpy(), labels)
    for name in ("nothing", "scale"):
        expect_value_error(call, content, name, codebook, labels)


@store_codebook.check(weight=0.3, guard=True)
def test_codebooks_refuse_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    net = drawn_network(rng)
    for data in damaged_files(net.content):
        arguments = drawn_codebook(net, "conv", 4, rng)
        expect_value_error(student.store_codebook, data, "conv", *arguments)
