"""Graders of onnx_quantization.py: the calibration reader, static quantisation, its cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autograder.graders.s6_export.networks import (
    Array,
    damaged_files,
    drawn_network,
    images_for,
    trained_digits,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    ReturnedFiles,
    case,
    check,
    expect_dict,
    expect_str,
    expect_value_error,
    fail,
    reads_thresholds,
)

# ---- CalibrationReader -------------------------------------------------------------------------


def drawn_batches(rng: RandomInputs, count: int) -> list[Array]:
    """Batches of different sizes."""
    return [rng.normal(rng.integer(1, 4), 2, 3).numpy() for _ in range(count)]


def given(student: Any, reader: Any, name: str) -> Array | None:
    """The next batch of the student's reader, or None."""
    value = student.invoke(reader, "get_next")
    if value is None:
        return None
    batch = expect_dict(value, "get_next", [name])[name]
    if not isinstance(batch, np.ndarray):
        fail("get_next should give an array by the input's name")
    return batch


def expect_all(student: Any, reader: Any, name: str, batches: list[Array]) -> None:
    """The reader gives all batches in order, then None."""
    for batch in batches:
        found = given(student, reader, name)
        check(found is not None and np.array_equal(found, batch), "each batch once, in order")
    check(given(student, reader, name) is None, "after the last batch there is None")


CalibrationReader = Exercise("s6.CalibrationReader")


@CalibrationReader.check(weight=3, essential=True)
def test_batches_in_order(student: Any, rng: RandomInputs) -> None:
    """Each batch by the input's name, in order, then None for ever."""
    for name in ("input", rng.choice(["pixels", "x", "images"])):
        batches = drawn_batches(rng, rng.integer(2, 5))
        reader = student.CalibrationReader(batches, name)
        expect_all(student, reader, name, batches)
        for _ in range(3):
            check(given(student, reader, name) is None, "still None when it is asked again")


@CalibrationReader.check(weight=2)
def test_rewind(student: Any, rng: RandomInputs) -> None:
    """After rewind all batches come again, also from the middle, and more than once."""
    batches = drawn_batches(rng, rng.integer(3, 5))
    reader = student.CalibrationReader(batches, "input")
    given(student, reader, "input")
    student.invoke(reader, "rewind")
    for _ in range(2):
        expect_all(student, reader, "input", batches)
        student.invoke(reader, "rewind")


@CalibrationReader.check(weight=1)
def test_readers_are_independent(student: Any, rng: RandomInputs) -> None:
    """Two readers do not disturb each other, over the same list or over others."""
    batches, others = drawn_batches(rng, 4), drawn_batches(rng, 2)
    same_list = student.put(batches)
    one, two = (student.CalibrationReader(same_list, "input") for _ in range(2))
    three = student.CalibrationReader(others, "other")
    given(student, one, "input")
    expect_all(student, two, "input", batches)
    expect_all(student, three, "other", others)
    expect_all(student, one, "input", batches[1:])


@CalibrationReader.check(weight=0.5)
def test_batches_are_not_copied(student: Any, rng: RandomInputs) -> None:
    """A reader hands out the arrays that it was given: calibration sets are large."""
    batches = drawn_batches(rng, 2)
    refs = [student.put(batch) for batch in batches]
    reader = student.CalibrationReader(refs, "input")
    student.invoke(refs[1], "fill", 7.0)
    found = given(student, reader, "input")
    check(found is not None and np.array_equal(found, batches[0]), "each batch once, in order")
    found = given(student, reader, "input")
    check(found is not None and bool((found == 7).all()), "the very arrays, no copies of them")


test_no_batches = CalibrationReader.refuses(
    case([], "input"), title="An empty list of batches raises ValueError.", weight=0.6
)

# ---- quantize_static ---------------------------------------------------------------------------


def noise(actual: Array, expected: Array) -> float:
    """Squared error as a share of the energy."""
    error = actual.astype(np.float64) - expected
    return float((error**2).sum() / (expected.astype(np.float64) ** 2).sum())


quantize_static = Exercise("s6.quantize_static")


@quantize_static.check(weight=4, essential=True, seconds=30)
@reads_thresholds("max_drop", "max_size")
def test_accuracy_and_size(
    student: Any, rng: RandomInputs, thresholds: Mapping[str, float]
) -> None:
    """A network for digits with 94,106 parameters keeps its accuracy, in a third of the bytes."""
    files, trained = ReturnedFiles(student), trained_digits(rng)
    batches = [trained.calibration[:100], trained.calibration[100:]]
    data = files.returned("quantize_static", trained.content, batches)
    files.facts(data)
    (before,) = files.outputs(trained.content, "pixels", [trained.images])
    (after,) = files.outputs(data, "pixels", [trained.images])
    check(after.shape == before.shape, "outputs (N, 10)")
    drop = trained.accuracy(before) - trained.accuracy(after)
    hint = "accuracy is lost: is each tensor's range that of the calibration images?"
    check(drop <= thresholds["max_drop"], hint)
    hint = "the file is too large: are all weights int8?"
    check(len(data) <= thresholds["max_size"] * len(trained.content), hint)


@quantize_static.check(weight=2, seconds=30)
def test_weights_are_int8(student: Any, rng: RandomInputs) -> None:
    """Every weight lies in int8 behind a DequantizeLinear; only ONNX's own operators."""
    files, net = ReturnedFiles(student), drawn_network(rng, opset=21)
    data = files.returned("quantize_static", net.content, [images_for(net, rng, 16)])
    facts = files.facts(data)
    check(facts["domains"] == [], "operators of another domain: use the QDQ format")
    kinds = files.types(data)
    elements = sum(weight.size for weight in net.weights.values())
    check(kinds.get("INT8", 0) >= elements, "weights that are not int8")
    hint = "float weights are still in the file"
    check(kinds.get("FLOAT", 0) < min(weight.size for weight in net.weights.values()), hint)
    kinds = files.operators(data)
    hint = "QuantizeLinear for activations, DequantizeLinear for all"
    check(kinds.get("QuantizeLinear", 0) >= 3 and kinds.get("DequantizeLinear", 0) >= 6, hint)
    check(files.left_behind() == [], "nothing stays in the working or the temporary folder")


@quantize_static.check(weight=3, essential=True, seconds=30)
def test_ranges_are_those_of_the_batches(student: Any, rng: RandomInputs) -> None:
    """Quantised on loud or on quiet images, the network is close to the float one on them."""
    files = ReturnedFiles(student)
    for size in (0.02, 30.0):
        net = drawn_network(rng, input_name=rng.choice(["x", "images"]), opset=21)
        quiet, loud = (size * images_for(net, rng, 12) for _ in range(2))
        quiet *= np.float32(0.01)
        data = files.returned("quantize_static", net.content, [quiet, loud, quiet])
        check("INT8" in files.types(data), "the weights become int8")
        (outputs,) = files.outputs(data, net.input_name, [loud])
        hint = "far from the float outputs: every batch counts, its smallest and largest value"
        check(noise(outputs, net.outputs(loud)) < 0.01, hint)


@quantize_static.check(weight=1, seconds=30)
def test_one_scale_for_each_channel(student: Any, rng: RandomInputs) -> None:
    """Each output channel has its own scale, by default; with per_channel=False none has."""
    files, net = ReturnedFiles(student), drawn_network(rng, opset=21)
    width = len(net.weights["conv"])
    for options, scales in (({}, 2), ({"per_channel": False}, 1)):
        batches = [images_for(net, rng, 8)]
        data = files.returned("quantize_static", net.content, batches, **options)
        stored = [value[:2] for value in files.initializers(data).values()]
        found = sum(value == ["FLOAT", [width]] for value in stored)  # a bias may be float too
        hint = "a scale for each output channel if per_channel, else one for the weight"
        check(found >= 2 if scales == 2 else found <= 1, hint)


@quantize_static.check(weight=1, seconds=30)
def test_cuts_do_not_matter(student: Any, rng: RandomInputs) -> None:
    """The same images in other batches, or in float64, give the same file, also the next time."""
    net = drawn_network(rng, opset=21)
    images = images_for(net, rng, 20)
    files = ReturnedFiles(student)
    first = files.returned("quantize_static", net.content, [images[:7], images[7:]])
    check("INT8" in files.types(first), "the weights become int8")
    other = student.quantize_static(net.content, [images[:1], images[1:15], images[15:]])
    check(first == other, "MinMax ranges depend on the images, not on how they are cut")
    doubles = [images[:7].astype(np.float64), images[7:].astype(np.float64)]
    check(student.fresh().quantize_static(net.content, doubles) == first, "float64 is converted")


@quantize_static.check(weight=0.6, guard=True)
def test_quantisation_refuses_other_shapes(student: Any, rng: RandomInputs) -> None:
    """No batches, and batches of another shape than the input's, raise ValueError."""
    net = drawn_network(rng, opset=21)
    images = images_for(net, rng, 4)
    deeper = images[..., None]
    for batches in ([], [images[:, :2]], [images[0]], [deeper], [images, images[:, :, :5]]):
        expect_value_error(student.quantize_static, net.content, batches)


@quantize_static.check(weight=0.4, guard=True)
def test_quantisation_refuses_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    net = drawn_network(rng, opset=21)
    for data in damaged_files(net.content):
        expect_value_error(student.quantize_static, data, [images_for(net, rng, 2)])


@quantize_static.check(weight=0.2, guard=True)
def test_batches_stay(student: Any, rng: RandomInputs) -> None:
    """The batches that were passed in are not changed."""
    net = drawn_network(rng, opset=21)
    images = images_for(net, rng, 4).astype(np.float64)
    ref = student.put(images)
    student.file("quantize_static", net.content, [ref])
    after = student.fetch(ref)
    same = isinstance(after, np.ndarray) and after.dtype == images.dtype
    check(same and np.array_equal(after, images), "the batches were changed: work on copies")


# ---- cache_key ---------------------------------------------------------------------------------


def key(student: Any, content: bytes, batches: list[Array]) -> str:
    """The student's key: hexadecimal digits."""
    value = expect_str(student.cache_key(content, batches), "cache_key")
    hint = "at least 32 hexadecimal digits"
    check(len(value) >= 32 and set(value.lower()) <= set("0123456789abcdef"), hint)
    return value


def drawn_bytes(rng: RandomInputs) -> bytes:
    """Bytes that stand for a file."""
    return bytes(rng.integers(0, 255, 200).tolist())


cache_key = Exercise("s6.cache_key")


@cache_key.check(weight=3, essential=True)
def test_key_of_model_and_data(student: Any, rng: RandomInputs) -> None:
    """Another file has another key, and so have other images, if only one number differs."""
    content, batches = drawn_bytes(rng), drawn_batches(rng, 3)
    own = key(student, content, batches)
    place = rng.integer(0, 199)
    other = bytes([*content[:place], content[place] ^ 1, *content[place + 1 :]])
    check(key(student, other, batches) != own, "one bit of the file is another")
    for number in range(3):
        changed = [batch.copy() for batch in batches]
        changed[number].flat[-1] = np.nextafter(changed[number].flat[-1], np.float32(9))
        check(key(student, content, changed) != own, "one number of the images is another")


@cache_key.check(weight=2)
def test_key_of_shapes_and_order(student: Any, rng: RandomInputs) -> None:
    """Other shapes, dtypes, order or cuts of the same numbers have another key."""
    content, images = drawn_bytes(rng), rng.integers(1, 99, 6, 2, 2).numpy().astype(np.float32)
    own = key(student, content, [images[:2], images[2:]])
    others: dict[str, list[Array]] = {
        "shapes": [images[:2].reshape(2, 4), images[2:]],
        "order": [images[2:], images[:2]],
        "cuts": [images[:3], images[3:]],
        "one batch": [images],
        "dtypes": [images[:2].astype(np.float64), images[2:].astype(np.float64)],
        "bytes": [images[:2].view(np.int32), images[2:]],
    }
    for what, batches in others.items():
        check(key(student, content, batches) != own, f"{what} count as well")
    moved = key(student, content + images[:2].tobytes(), [images[2:]])
    check(moved != own, "where the file ends counts as well")


@cache_key.check(weight=1)
def test_key_is_always_the_same(student: Any, rng: RandomInputs) -> None:
    """The same file and images have the same key in another process."""
    content, batches = drawn_bytes(rng), drawn_batches(rng, 3)
    own = key(student, content, batches)
    check(key(student.fresh(), content, batches) == own, "hash() differs from process to process")
    check(key(student, content, batches) == own, "and a second time")
