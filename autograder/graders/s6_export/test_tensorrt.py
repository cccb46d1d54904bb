"""Graders of tensorrt_build.py: profiles, half precision, what is refused, engines.

The judge builds each engine itself, in a new process without the student's code, and compares.
Where tensorrt_rtx is not installed, what needs no builder earns the points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from autograder.graders.s6_export.networks import (
    FLOAT,
    DrawnNetwork,
    agree,
    damaged_files,
    drawn_network,
    file_of,
    images_for,
    trained_digits,
)
from autograder.graders.toolkit import (
    HAS_TENSORRT,
    Exercise,
    RandomInputs,
    ReturnedFiles,
    StudentError,
    case,
    check,
    comparable,
    expect_list,
    expect_record,
    expect_str,
    expect_value_error,
    fail,
)
from shared.records import Profile

MIB = 1 << 20

# ---- optimization_profile ----------------------------------------------------------------------


def profile_of(*arguments: Any, name: str = "input") -> tuple[Any, ...]:
    """The reference: the same shapes as tuples."""
    return (name, *(tuple(shape) for shape in arguments))


def same_profile(actual: object, expected: Any, name: str) -> bool:
    """Agreement of name and shapes, which are tuples."""
    values = expect_record(actual, Profile, name)
    expect_str(values[0], "name")
    for shape in values[1:]:
        if not isinstance(shape, tuple):
            fail(f"{name} should hold shapes as tuples, yours is a {type(shape).__name__}")
    return tuple(values) == tuple(expected)


def ordered(rng: RandomInputs, rank: int = 4) -> tuple[list[int], list[int], list[int]]:
    """Three shapes in order, each extent different."""
    low = [rng.integer(2, 5) for _ in range(rank)]
    middle = [extent + rng.integer(1, 4) for extent in low]
    return low, middle, [extent + rng.integer(1, 4) for extent in middle]


optimization_profile = Exercise(
    "s6.optimization_profile", reference=profile_of, agreement=same_profile
)


@optimization_profile.check(weight=4)
def test_profiles(rng: RandomInputs) -> Any:
    """Shapes of any rank come back as tuples, with the input's name, "input" by default."""
    for rank in (1, 2, 4):
        low, middle, high = ordered(rng, rank)
        yield case(low, middle, high)
        yield case(tuple(low), tuple(middle), tuple(high), name=rng.choice(["x", "pixels"]))
        yield case(low, low, high)
        yield case(low, low, low)


def refuses_essentially(
    title: str, weight: float, wrong: Callable[[RandomInputs], list[tuple[Any, Any, Any]]]
) -> Any:
    """A guard that is what the exercise is about: each triple raises ValueError."""

    def test(student: Any, rng: RandomInputs) -> None:
        for shapes in wrong(rng):
            expect_value_error(student.optimization_profile, *shapes)

    test.__doc__, test.__module__ = title, __name__
    return optimization_profile.check(weight, guard=True, essential=True)(test)


def out_of_order(rng: RandomInputs) -> list[tuple[Any, Any, Any]]:
    """One pair of extents is in the wrong order."""
    low, middle, high = ordered(rng)
    place = rng.integer(0, 3)
    above = [*middle[:place], high[place] + 1, *middle[place + 1 :]]
    below = [*middle[:place], low[place] - 1, *middle[place + 1 :]]
    return [(high, middle, low), (low, above, high), (low, below, high)]


test_order = refuses_essentially(
    "Where minimum <= optimum <= maximum fails in one dimension, ValueError is raised.",
    0.15,
    out_of_order,
)
test_small_extents = refuses_essentially(
    "An extent of 0 or less raises ValueError.",
    0.15,
    lambda rng: [([zero, 3, 4], [2, 3, 4], [5, 3, 4]) for zero in (0, -1, -rng.integer(2, 9))],
)
test_ranks = refuses_essentially(
    "Shapes of unequal ranks raise ValueError.",
    0.1,
    lambda rng: [
        ([1, 3], [2, 3, 4], [rng.integer(5, 9), 3, 4]),
        ([1, 3, 4], [2, 3], [5, 3, 4]),
        ([1, 3, 4], [2, 3, 4], [5, 3]),
        ([1, 3, 4], [2, 3, 4], [5, 3, 4, 1]),
    ],
)

# ---- to_float16 --------------------------------------------------------------------------------

to_float16 = Exercise("s6.to_float16")


@to_float16.check(weight=3, essential=True)
def test_half_precision_inside(student: Any, rng: RandomInputs) -> None:
    """All stored floats are float16, input and output float32 as before, outputs nearly so."""
    files = ReturnedFiles(student)
    for transposed in (True, False):
        net = drawn_network(rng, transposed=transposed, input_name=rng.choice(["x", "pixels"]))
        data = files.returned("to_float16", net.content)
        facts = files.facts(data)
        hint = "input and output keep their names, float32 and the free batch"
        check(facts["inputs"] == {net.input_name: ["float32", [None, *net.image]]}, hint)
        check({n: o[0] for n, o in facts["outputs"].items()} == {"output": "float32"}, hint)
        kinds = files.types(data)
        check("FLOAT" not in kinds, "floats of 32 bits are still stored")
        elements = sum(value.size for value in (*net.weights.values(), *net.biases.values()))
        check(kinds.get("FLOAT16", 0) >= elements, "float16 weights and biases")
        images = images_for(net, rng, 5)
        (outputs,) = files.outputs(data, net.input_name, [images])
        check(outputs.dtype == np.float32, "the output is float32")
        check(agree(outputs, net.outputs(images), 2e-2), "the outputs are others")
    check(files.left_behind() == [], "nothing stays in the working or the temporary folder")


@to_float16.check(weight=2)
def test_digits_in_half_precision(student: Any, rng: RandomInputs) -> None:
    """On digits at least 99 % of the answers stay."""
    files, trained = ReturnedFiles(student), trained_digits(rng)
    data = files.returned("to_float16", trained.content)
    (before,) = files.outputs(trained.content, "pixels", [trained.images])
    (after,) = files.outputs(data, "pixels", [trained.images])
    check(before.shape == after.shape, "outputs (N, 10)")
    same = float(np.mean(before.argmax(axis=1) == after.argmax(axis=1)))
    check(same >= 0.99, "too many answers are others")
    check(len(data) <= 0.55 * len(trained.content), "half the bytes of the weights")


def computing_constants(rng: RandomInputs, width: int) -> bytes:
    """A file with a Constant and a Cast to float32, which take uint8 pixels."""
    value = helper.make_tensor("v", FLOAT, [width], rng.normal(width).tolist())
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=FLOAT),
        helper.make_node("Constant", [], ["shift"], value=value),
        helper.make_node("Sub", ["floats", "shift"], ["moved"]),
        helper.make_node("MatMul", ["moved", "w"], ["y"]),
    ]
    constants = {"w": rng.normal(width, 3).numpy()}
    ports = {"x": (TensorProto.UINT8, ["N", width])}
    return file_of(nodes, ports, {"y": (FLOAT, ["N", 3])}, constants)


@to_float16.check(weight=2)
def test_constants_and_casts(student: Any, rng: RandomInputs) -> None:
    """Constants and Casts to float32 become float16; a uint8 input stays one."""
    files, width = ReturnedFiles(student), rng.integer(4, 9)
    content = computing_constants(rng, width)
    data = files.returned("to_float16", content)
    facts = files.facts(data)
    check(facts["inputs"] == {"x": ["uint8", [None, width]]}, "uint8 stays uint8")
    check("FLOAT" not in files.types(data), "a Constant is stored in 32 bits")
    pixels = rng.integers(0, 255, 6, width).numpy().astype(np.uint8)
    (expected,) = files.outputs(content, "x", [pixels])
    (outputs,) = files.outputs(data, "x", [pixels])
    check(agree(outputs, expected, 2e-2), "the outputs are others")


@to_float16.check(weight=2)
def test_integer_weights_stay(student: Any, rng: RandomInputs) -> None:
    """Weights in int8 behind a DequantizeLinear stay int8, with scales in float16."""
    files = ReturnedFiles(student)
    rows, columns = rng.integer(5, 9), rng.integer(3, 6)
    codes = rng.integers(-128, 127, rows, columns).numpy().astype(np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["codes", "steps"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    steps = rng.uniform(columns, low=0.01, high=0.1).numpy()
    constants = {"codes": codes, "steps": steps}
    ports = {"x": (FLOAT, ["N", rows])}
    content = file_of(nodes, ports, {"y": (FLOAT, ["N", columns])}, constants, opset=21)
    data = files.returned("to_float16", content)
    files.facts(data)
    kinds = files.types(data)
    check(kinds.get("INT8") == codes.size, "codes are no floats: they stay as they are")
    check("FLOAT" not in kinds, "scales become float16")
    x = rng.normal(4, rows).numpy()
    (outputs,) = files.outputs(data, "x", [x])
    check(agree(outputs, x.astype(np.float64) @ (codes * steps), 2e-2), "the outputs are others")


@to_float16.check(weight=0.8, guard=True)
def test_half_refuses_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    for data in damaged_files(drawn_network(rng).content):
        expect_value_error(student.to_float16, data)


# ---- unsupported_nodes -------------------------------------------------------------------------

REFUSED = ("Unique", "Det", "Bernoulli")
"""Operators that the parser has no form for."""


def chain(
    rng: RandomInputs, refused: list[str], apart: Sequence[int] = ()
) -> tuple[bytes, list[tuple[str, str]]]:
    """A file with these operators among others, and (name, operator) of them in order.

    `apart` says how many others come before each, by default one to three.
    """
    kinds: list[str] = []
    for kind, others in zip(refused, apart or [rng.integer(1, 3) for _ in refused], strict=True):
        kinds += [rng.choice(["Relu", "Abs", "Neg"]) for _ in range(others)]
        kinds.append(kind)
    kinds.append("Relu")
    first = rng.integer(50, 90)
    names = [f"{rng.choice(['n', 'layer'])} {first - place}" for place in range(len(kinds))]
    tensors = ["x", *(f"t{number}" for number in range(len(kinds)))]
    nodes = [
        helper.make_node(kind, [tensors[place]], [tensors[place + 1]], name=names[place])
        for place, kind in enumerate(kinds)
    ]
    shape: list[int | str] = [3, 4, 4]
    for kind in kinds:
        shape = ["some"] if kind == "Unique" else shape[:1] if kind == "Det" else shape
    ports = {"x": (FLOAT, [3, 4, 4])}
    content = file_of(nodes, ports, {tensors[-1]: (FLOAT, shape)}, {}, opset=21)
    found = [(names[place], kind) for place, kind in enumerate(kinds) if kind in refused]
    return content, found


def pairs(actual: object, expected: Any, name: str) -> bool:
    """Agreement of lists of (node name, operator)."""
    found = [tuple(expect_list(each, "each entry", 2)) for each in expect_list(actual, name)]
    return found == [tuple(each) for each in expected]


def names_the_package(student: Any, name: str, *arguments: Any) -> None:
    """Without a builder there is a RuntimeError that names tensorrt_rtx."""
    try:
        getattr(student, name)(*arguments)
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        check(error.kind == "RuntimeError", "without a builder: RuntimeError")
        text = error.text.replace("-", "_")
        check("tensorrt_rtx" in text, "the error names the package that is missing")
    else:
        fail(f"{name} should raise RuntimeError where tensorrt_rtx is not installed")


unsupported_nodes = Exercise("s6.unsupported_nodes", agreement=pairs)

if HAS_TENSORRT:

    @unsupported_nodes.check(weight=3, essential=True)
    def test_refused_nodes(rng: RandomInputs) -> Any:
        """(name, operator) of every node that the parser does not take, in the graph's order."""
        for kind in REFUSED[:2]:
            content, found = chain(rng, [kind])
            yield case(content).gives(found)
        content, found = chain(rng, rng.sample(["Bernoulli", "Bernoulli", "Unique"], 3))
        yield case(content).gives(found)
        first = rng.integer(1, 3)  # and the eighth node: a set of these places is in no order
        content, found = chain(rng, ["Bernoulli", "Bernoulli"], (first, 7 - first))
        yield case(content).gives(found)

    @unsupported_nodes.check(weight=2)
    def test_nothing_is_refused(rng: RandomInputs) -> Any:
        """An empty list if every node is taken, and only then."""
        for transposed in (True, False):
            yield case(drawn_network(rng, transposed=transposed).content).gives([])
        content, found = chain(rng, ["Bernoulli"])
        yield case(content).gives(found)

else:

    @unsupported_nodes.check(weight=5, essential=True)
    def test_no_parser_here(student: Any, rng: RandomInputs) -> None:
        """No TensorRT is installed where this is graded: RuntimeError names the package."""
        names_the_package(student, "unsupported_nodes", drawn_network(rng).content)


@unsupported_nodes.check(weight=0.5, guard=True, essential=True)
def test_parser_refuses_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    for data in damaged_files(drawn_network(rng).content):
        expect_value_error(student.unsupported_nodes, data)


# ---- build_engine ------------------------------------------------------------------------------

TARGETS = ("8.0", "8.6", "8.9", "12.0", "12.1")


def batches(net: DrawnNetwork, rng: RandomInputs) -> Profile:
    """A profile for the free batch of a network."""
    low, high = rng.integer(2, 3), rng.integer(6, 9)  # never one image, which may be guessed
    shapes = [(batch, *net.image) for batch in (low, rng.integer(4, 5), high)]
    return Profile(net.input_name, *shapes)


def plain(profile: Profile) -> list[Any]:
    """The fields of a profile."""
    return [profile.name, profile.minimum, profile.optimum, profile.maximum]


build_engine = Exercise("s6.build_engine")

if HAS_TENSORRT:

    def expect_engine(
        files: ReturnedFiles, content: bytes, targets: list[str], profile: Any
    ) -> None:
        """The student's engine is the one that the judge builds."""
        settings = None if profile is None else plain(profile)
        data = files.returned("build_engine", content, targets, profile, 64 * MIB)
        own = files.engine(content, targets, settings, 64 * MIB)
        hint = "another engine than from this file, these targets, this profile and nothing else"
        same = comparable(data) == own
        files.digest(comparable(data))
        check(same, hint)

    @build_engine.check(weight=3, essential=True, seconds=30)
    def test_engine_with_a_free_batch(student: Any, rng: RandomInputs) -> None:
        """An engine for one target is byte by byte the one built here from the same profile."""
        files = ReturnedFiles(student)
        net = drawn_network(rng, input_name=rng.choice(["input", "pixels"]))
        expect_engine(files, net.content, [rng.choice(TARGETS)], batches(net, rng))

    @build_engine.check(weight=2, seconds=30)
    def test_engine_for_several_targets(student: Any, rng: RandomInputs) -> None:
        """An engine for several targets holds code for each of them."""
        files, net = ReturnedFiles(student), drawn_network(rng)
        targets = rng.choice([["8.6", "12.0"], ["8.9", "12.1"], ["8.0", "12.0"]])
        expect_engine(files, net.content, targets, batches(net, rng))

    @build_engine.check(weight=1, seconds=30)
    def test_engine_without_a_profile(student: Any, rng: RandomInputs) -> None:
        """A file without free dimensions needs no profile."""
        nodes = [
            helper.make_node("Relu", ["x"], ["r"]),
            helper.make_node("MatMul", ["r", "w"], ["y"]),
        ]
        rows, columns = rng.integer(4, 9), rng.integer(3, 6)
        constants = {"w": rng.normal(rows, columns).numpy()}
        ports = {"x": (FLOAT, [2, rows])}
        content = file_of(nodes, ports, {"y": (FLOAT, [2, columns])}, constants)
        expect_engine(ReturnedFiles(student), content, ["8.6"], None)

    @build_engine.check(weight=2, seconds=30)
    def test_refusals_are_explained(student: Any, rng: RandomInputs) -> None:
        """A network that cannot be parsed raises RuntimeError with the node's name and operator."""
        content, ((name, kind),) = chain(rng, [rng.choice(REFUSED)])
        try:
            student.build_engine(content, ["8.6"], None, 64 * MIB)
        except StudentError as error:
            if error.kind == "NotImplementedError":
                raise
            check(error.kind == "RuntimeError", "a network that cannot be built: RuntimeError")
            hint = "read the parser's errors: each has the node's name and operator"
            check(name in error.text and kind in error.text, hint)
        else:
            fail("build_engine should raise RuntimeError, yours returned a value")

else:

    @build_engine.check(weight=8, essential=True)
    def test_no_builder_here(student: Any, rng: RandomInputs) -> None:
        """No TensorRT is installed where this is graded: RuntimeError names the package."""
        net = drawn_network(rng)
        names_the_package(
            student, "build_engine", net.content, ["8.6"], batches(net, rng), 64 * MIB
        )


@build_engine.check(weight=0.2, guard=True, essential=True)
def test_builder_refuses_bad_files(student: Any, rng: RandomInputs) -> None:
    """Empty, damaged and cut-off files, and data in another file, raise ValueError."""
    net = drawn_network(rng)
    for data in damaged_files(net.content):
        expect_value_error(student.build_engine, data, ["8.6"], batches(net, rng), 64 * MIB)


@build_engine.check(weight=0.2, guard=True, essential=True)
def test_builder_refuses_profiles_of_another_input(student: Any, rng: RandomInputs) -> None:
    """A profile of another name, and none for a free dimension, raise ValueError."""
    net = drawn_network(rng, input_name=rng.choice(["x", "pixels"]))
    fitting = batches(net, rng)
    other = Profile("image", *plain(fitting)[1:])
    for profile in (other, None):
        expect_value_error(student.build_engine, net.content, ["8.6"], profile, 64 * MIB)


@build_engine.check(weight=0.2, guard=True, essential=True)
def test_builder_refuses_other_shapes(student: Any, rng: RandomInputs) -> None:
    """A profile of another rank, or against a fixed dimension, raises ValueError."""
    net = drawn_network(rng)
    name, *shapes = plain(batches(net, rng))
    short = [shape[:3] for shape in shapes]
    wide = [(*shape[:3], shape[3] + 1) for shape in shapes]
    for wrong in (short, wide, [*shapes[:2], wide[2]]):
        profile = Profile(name, *wrong)
        expect_value_error(student.build_engine, net.content, ["8.6"], profile, 64 * MIB)


@build_engine.check(weight=0.2, guard=True)
def test_builder_refuses_other_targets(student: Any, rng: RandomInputs) -> None:
    """No target, an unknown one, also among known ones, and no workspace raise ValueError."""
    net = drawn_network(rng)
    profile = batches(net, rng)

    def build_engine(*arguments: Any) -> Any:
        return student.file("build_engine", *arguments)

    for targets in ([], ["9.9"], ["8.6", "5.0"], ["sm_86"], ["8.7"]):
        expect_value_error(build_engine, net.content, targets, profile, 64 * MIB)
    for workspace in (0, -rng.integer(1, 99), 0.5):
        expect_value_error(build_engine, net.content, ["8.6"], profile, workspace)
