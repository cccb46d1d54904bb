"""Graders of deep_compression.py: bytes that a fresh process turns back into a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s3_weight_clustering.references import (
    LEAST_SPARSITY,
    State,
    position_bytes,
    trained_network,
)
from autograder.graders.toolkit import (
    Exercise,
    Failure,
    RandomInputs,
    StudentError,
    check,
    expect_dict,
    expect_int,
    expect_tensor,
    expect_value_error,
    fail,
    property_of,
    reads_thresholds,
    round_trips,
)

# ---- compress, decompress --------------------------------------------------------------------


def compressed(student: Any, state: State, sparsity: float, bits: int) -> bytes:
    """The student's bytes for `state`."""
    data = student.compress(state, sparsity, bits)
    if not isinstance(data, bytes):
        fail(f"compress should return bytes, yours is a {type(data).__name__}")
    return data


def is_weight(tensor: Tensor) -> bool:
    """Whether compress may change a tensor: floating, with 2 or more dimensions."""
    return tensor.is_floating_point() and tensor.dim() >= 2


def expect_state(other: Any, data: bytes, original: State) -> State:
    """What decompress makes of nothing but the bytes in `other`, a process of its own.

    Names in order, shapes and dtypes as in `original`; whatever is not a weight bit by bit.
    """
    state = expect_dict(other.decompress(data), "decompress", keys=list(original))
    check(list(state) == list(original), "the names come back in the order they had")
    for name, tensor in original.items():
        with property_of("a weight" if is_weight(tensor) else "a tensor that is not a weight"):
            back = expect_tensor(state[name], "it", tensor.shape, tensor.dtype)
            if not is_weight(tensor):
                hint = "biases, counters and whatever else is no weight come back exactly"
                check(torch.equal(back, tensor), hint)
    return {name: state[name] for name in original}


Case = tuple[State, float, int]
"""A state with the sparsity and the bits that it is compressed with."""


def shuffled(rng: RandomInputs, state: State) -> State:
    """Another state of the same form: the elements of every weight change places."""
    return {
        name: tensor.flatten()[rng.permutation(tensor.numel())].view(tensor.shape)
        if is_weight(tensor)
        else tensor
        for name, tensor in state.items()
    }


def back_from_bytes(
    student: Any, rng: RandomInputs, cases: Sequence[Case]
) -> tuple[list[bytes], list[State]]:
    """The bytes of each case, and the states that a process without the first one makes of them.

    One more state goes with a single case, so that there is always something to mix up.
    """
    first, sparsity, bits = cases[0]
    extra = [(shuffled(rng, first), sparsity, bits)] if len(cases) == 1 else []
    data, back = round_trips(
        student,
        rng,
        lambda encoder, case: compressed(encoder, *case),
        lambda decoder, sent, case: expect_state(decoder, sent, case[0]),
        [*cases, *extra],
    )
    return data[: len(cases)], back[: len(cases)]


def expect_pruned(back: Tensor, original: Tensor, sparsity: float) -> None:
    """At least round(sparsity * n) zeros, the smallest magnitudes, and those that were there."""
    check((back[original == 0] == 0).all(), "weights that are 0 already stay 0")
    hint = "too few zeros: round(sparsity * n) weights of each tensor, existing zeros among them"
    check(int((back == 0).sum()) >= round(sparsity * original.numel()), hint)
    pruned, kept = original[back == 0].abs(), original[back != 0].abs()
    if pruned.numel() and kept.numel():
        hint = "the smallest magnitudes are pruned: compare absolute values within each tensor"
        check(pruned.max() <= kept.min(), hint)


def expect_levels(back: Tensor, bits: int) -> None:
    """At most 2^bits distinct nonzero values."""
    values = set(back[back != 0].tolist())
    check(len(values) <= 2**bits, "at most 2^bits distinct nonzero values in a tensor")


def share_lost(back: Tensor, original: Tensor) -> float:
    """Squared error of a tensor as a share of its energy."""
    energy = float(original.double().square().sum())
    error = float((back.double() - original.double()).square().sum())
    return error / energy if energy else error


def random_state(rng: RandomInputs) -> State:
    """A convolution, its batch norm and a Linear layer, as a `state_dict` names them."""
    channels, classes = rng.integer(6, 9), rng.integer(4, 7)
    return {
        "features.weight": rng.normal(channels, 3, 3, 3),
        "norm.weight": rng.uniform(channels, low=0.5, high=1.5),
        "norm.bias": rng.normal(channels),
        "norm.num_batches_tracked": torch.tensor(rng.integer(10**9, 10**12)),
        "classifier.weight": rng.normal(classes, 4 * channels),
        "classifier.bias": rng.normal(classes),
    }


SHOWS_NETWORK = 0.3
"""Weights that are further away, as a share of the energy, are another network's."""


compress = Exercise("s3.compress")


@compress.check(weight=12, seconds=60)
@reads_thresholds("zero_ratio < full_ratio", "max_drop", "free_source_bytes")
def test_bytes_of_a_trained_network(
    student: Any,
    rng: RandomInputs,
    credit: Callable[[float, str], None],
    thresholds: Mapping[str, float],
    source_bytes: int,
) -> None:
    """A pruned network for digits becomes few bytes, and keeps its accuracy."""
    trained = trained_network(rng)
    (data,), (back,) = back_from_bytes(student, rng, [(trained.state, LEAST_SPARSITY, 5)])
    for name, original in trained.state.items():
        if is_weight(original):
            expect_pruned(back[name], original, LEAST_SPARSITY)
            expect_levels(back[name], 5)
            hint = "the weights that came back are not those of this network"
            check(share_lost(back[name], original) <= SHOWS_NETWORK, hint)
    drop = trained.accuracy(trained.state) - trained.accuracy(back)
    hint = "the network lost accuracy: use all the centroids, and place them by k-means"
    check(drop <= thresholds["max_drop"], hint)
    dense = 4 * sum(tensor.numel() for tensor in trained.state.values())
    charged = max(source_bytes - thresholds["free_source_bytes"], 0)
    ratio = dense / (len(data) + charged)
    span = thresholds["full_ratio"] - thresholds["zero_ratio"]
    text = f"{ratio:.1f} times fewer bytes than float32; full credit from"
    credit((ratio - thresholds["zero_ratio"]) / span, f"{text} {thresholds['full_ratio']:g} on")


@compress.check(weight=3)
def test_states_come_back(student: Any, rng: RandomInputs) -> None:
    """A fresh process rebuilds names in order, shapes and dtypes; all but weights exactly."""
    cases = []
    for sparsity, bits in ((0.3, 4), (0.5, 3)):
        state = random_state(rng)
        names = rng.sample(list(state), len(state))
        cases.append(({name: state[name] for name in names}, sparsity, bits))
    for (state, _, _), back in zip(cases, back_from_bytes(student, rng, cases)[1], strict=True):
        for name, original in state.items():
            if is_weight(original):
                hint = "far from the weights that went in: is every value at its place?"
                check(share_lost(back[name], original) <= 0.25, hint)


@compress.check(weight=3)
def test_smallest_weights_are_pruned(student: Any, rng: RandomInputs) -> None:
    """In every weight at least round(sparsity * n) smallest magnitudes become 0, zeros stay."""
    cases = []
    for sparsity in (rng.number(0.1, 0.4), rng.number(0.6, 0.9)):
        state = random_state(rng)
        scale = rng.choice([0.01, 100.0])  # one threshold for all tensors would not do
        state["classifier.weight"] = scale * state["classifier.weight"]
        cases.append((state, sparsity, 6))
    sparse = random_state(rng)
    for original in sparse.values():
        if is_weight(original):
            original[rng.uniform(*original.shape) < 0.6] = 0.0
    cases.append((sparse, 0.3, 6))
    _, states = back_from_bytes(student, rng, cases)
    for (state, sparsity, _), back in zip(cases, states, strict=True):
        for name, original in state.items():
            if is_weight(original):
                expect_pruned(back[name], original, sparsity)
    hint = "zeros that are there count: nothing more has to be pruned"
    for name, original in sparse.items():
        if is_weight(original):
            check(share_lost(states[-1][name], original) <= 0.1, hint)


@compress.check(weight=3)
def test_few_levels_close_to_the_weights(student: Any, rng: RandomInputs) -> None:
    """Each weight has at most 2^bits distinct nonzero values, close to those that went in."""
    most_lost = {1: 0.6, 2: 0.45, 5: 0.05}
    cases = [
        (
            {
                "a": rng.normal(20, 30),
                "b": rng.normal(12, 40, std=0.02),
                "tiny": 2.0**-84 * rng.normal(10, 20),
            },
            0.0,
            bits,
        )
        for bits in most_lost
    ]
    _, states = back_from_bytes(student, rng, cases)
    for (state, _, bits), back in zip(cases, states, strict=True):
        most = most_lost[bits]
        for name, original in state.items():
            expect_levels(back[name], bits)
            hint = "far from the weights: cluster each tensor on its own, with 2^bits centroids"
            check(share_lost(back[name], original) <= most, hint)


@compress.check(weight=2)
def test_everything_else_is_exact(student: Any, rng: RandomInputs) -> None:
    """Tensors with fewer than 2 dimensions or whole numbers come back bit by bit, in any dtype."""
    state = {
        "scale": torch.tensor(rng.number(0, 1), dtype=torch.float64),
        "bias": rng.normal(rng.integer(3, 9)),
        "half": rng.normal(rng.integer(3, 9)).half(),
        "double": rng.normal(rng.integer(3, 9)).double() / 3,
        "steps": torch.tensor(2**53 + rng.integer(1, 999)),
        "table": rng.integers(-(2**40), 2**40, 4, rng.integer(3, 9)),
        "mask": rng.uniform(5, rng.integer(3, 9)) < 0.5,
        "bytes": rng.integers(0, 255, 2, 3, 4).to(torch.uint8),
        "weight": rng.normal(8, 9),
    }
    back_from_bytes(student, rng, [(state, 0.5, 4)])


@compress.check()
def test_weights_of_other_dtypes(student: Any, rng: RandomInputs) -> None:
    """Weights in half and double precision are compressed too, and keep their dtype."""
    state = {
        "half": rng.normal(12, rng.integer(10, 15)).half(),
        "double": rng.normal(12, rng.integer(10, 15)).double(),
        "brain": rng.normal(12, rng.integer(10, 15)).bfloat16(),
    }
    _, (back,) = back_from_bytes(student, rng, [(state, 0.4, 4)])
    for name, original in state.items():
        expect_pruned(back[name], original, 0.4)
        expect_levels(back[name], 4)
        check(share_lost(back[name], original) <= 0.25, "far from the weights that went in")


@compress.check(weight=2)
def test_unusual_weights(student: Any, rng: RandomInputs) -> None:
    """Empty, constant and all-zero weights, single weights and few distinct values work."""
    value = rng.choice([-1.5, 0.25, 3.0])
    state = {
        "empty": torch.zeros(0, rng.integer(3, 9)),
        "none": torch.zeros(0),
        "zeros": torch.zeros(4, rng.integer(3, 9)),
        "constant": torch.full((5, 8), value),
        "one": torch.full((1, 1), value),
        "two": value * rng.choice([1.0, 2.0]) * (rng.uniform(6, 7) < 0.5).float(),
        "number": torch.tensor(rng.number(1, 2)),
    }
    cases = [(state, 0.0, 3), (state, 0.5, 3)]
    for (_, sparsity, _), back in zip(cases, back_from_bytes(student, rng, cases)[1], strict=True):
        for name in ("empty", "zeros", "constant", "two"):
            expect_pruned(back[name], state[name], sparsity)
            kept = back[name] != 0
            hint = "fewer distinct values than centroids: they come back as they were"
            check(torch.allclose(back[name][kept], state[name][kept], rtol=1e-3), hint)
        check(int((back["constant"] != 0).sum()) >= 1, "constant weights are not all pruned")


@compress.check()
def test_nothing_and_everything_pruned(student: Any, rng: RandomInputs) -> None:
    """A sparsity of 0 with more centroids than weights, and a sparsity of 1, work."""
    state = random_state(rng)
    _, (everything, nothing) = back_from_bytes(student, rng, [(state, 0.0, 8), (state, 1.0, 1)])
    for name, original in state.items():
        if is_weight(original):
            hint = "sparsity 0: far from the weights that went in"
            check(share_lost(everything[name], original) <= 0.25, hint)
    weights = [nothing[name] for name, original in state.items() if is_weight(original)]
    check(all((each == 0).all() for each in weights), "sparsity 1: every weight becomes 0")


@compress.check()
def test_bytes_are_deterministic(student: Any, rng: RandomInputs) -> None:
    """The same arguments give the same bytes, also in another process."""
    state = random_state(rng)
    first = compressed(student, state, 0.5, 3)
    check(compressed(student, state, 0.5, 3) == first, "no randomness and no clock in the bytes")
    (again,), _ = back_from_bytes(student.fresh(), rng, [(state, 0.5, 3)])
    check(again == first, "nothing that a process remembers")


@compress.check(weight=0.5, guard=True)
def test_compression_leaves_the_state_alone(student: Any, rng: RandomInputs) -> None:
    """The state that was passed in is not changed."""
    state = random_state(rng)
    ref = student.put(state)
    student.compress(ref, 0.6, 2)
    check(is_same(student.fetch(ref), state), "the state was changed in place: work on copies")


@compress.check(weight=0.5, guard=True)
def test_compression_refuses_bad_arguments(student: Any, rng: RandomInputs) -> None:
    """A sparsity outside 0..1, and bits outside 1..32 or not whole, raise ValueError."""
    state = random_state(rng)
    for sparsity in (-rng.number(0.01, 0.5), 1 + rng.number(0.01, 0.5)):
        expect_value_error(student.compress, state, sparsity, 4)
    for bits in (0, -rng.integer(1, 5), 33, 2.5):
        expect_value_error(student.compress, state, 0.5, bits)


# ---- stage_report ----------------------------------------------------------------------------

STAGES = ("dense", "pruned", "quantised", "huffman")


def expect_stages(student: Any, state: State, sparsity: float, bits: int) -> dict[str, int]:
    """The student's report: four whole numbers of bytes."""
    report = expect_dict(student.stage_report(state, sparsity, bits), "stage_report", STAGES)
    return {name: expect_int(report[name], f"bytes of {name}") for name in STAGES}


def sparse_state(rng: RandomInputs, density: float) -> State:
    """Two sparse layers with a peaked distribution, and their biases."""
    rows = rng.integer(180, 220)
    state = {"first.weight": rng.normal(rows, 150), "first.bias": rng.normal(rows)}
    state |= {"second.weight": rng.normal(20, rows), "second.bias": rng.normal(20)}
    for name, tensor in state.items():
        if is_weight(tensor):
            kept = rng.uniform(*tensor.shape) < density
            state[name] = tensor * tensor.abs() * kept + 0.2 * tensor.sign() * kept
    return state


stage_report = Exercise("s3.stage_report")


@stage_report.check(weight=2)
def test_dense_bytes(student: Any, rng: RandomInputs) -> None:
    """Dense is 4 bytes for every element of every tensor, biases included."""
    state = {name: t for name, t in random_state(rng).items() if t.is_floating_point()}
    report = expect_stages(student, state, 0.5, 4)
    expected = 4 * sum(tensor.numel() for tensor in state.values())
    check(report["dense"] == expected, "dense: float32, 4 bytes an element, all tensors")


@stage_report.check(weight=2)
def test_huffman_bytes_are_those_of_compress(student: Any, rng: RandomInputs) -> None:
    """The last stage is the length of what compress returns."""
    for sparsity, bits in ((0.6, 3), (0.9, 5)):
        state = random_state(rng)
        report = expect_stages(student, state, sparsity, bits)
        hint = "huffman: len(compress(state, sparsity, bits))"
        sizes = lengths(student, state, sparsity, bits)
        if len(set(sizes)) == 1:
            check(report["huffman"] == sizes[0], hint)
        else:  # a compress that is wrong, which costs its own exercise
            share = report["huffman"] / (max(sizes) if sizes else report["quantised"])
            check(0.5 < share < 1.1, hint)


def lengths(student: Any, state: State, sparsity: float, bits: int) -> list[int]:
    """The lengths of what two calls of the student's compress return, if they return bytes."""
    try:
        return [len(compressed(student, state, sparsity, bits)) for _ in range(2)]
    except Failure:
        return []
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        return []


@stage_report.check(weight=2)
def test_pruning_and_sharing_save(student: Any, rng: RandomInputs) -> None:
    """Pruning saves bytes, on a sparse network and on a dense one, and so does sharing."""
    report = expect_stages(student, sparse_state(rng, 0.1), 0.9, 5)
    hint = "pruned: only the weights that are kept, and their places"
    check(report["pruned"] < 0.25 * report["dense"], hint)
    hint = "quantised: `bits` bits for each kept weight instead of 32"
    check(report["quantised"] < 0.6 * report["pruned"], hint)
    report = expect_stages(student, sparse_state(rng, 1.0), 0.9, 5)
    hint = "pruned: what `sparsity` prunes is not kept, even if the state is dense"
    check(report["pruned"] < 0.25 * report["dense"], hint)
    check(report["quantised"] < 0.6 * report["pruned"], hint)


@stage_report.check(essential=True, weight=2)
def test_stages_leave_nothing_out(student: Any, rng: RandomInputs) -> None:
    """Biases, positions, indices and codebooks are part of every stage that needs them."""
    state = {**sparse_state(rng, 0.15), "scale": rng.normal(3000)}
    report = expect_stages(student, state, 0.5, 5)
    weights = [tensor for tensor in state.values() if is_weight(tensor)]
    kept = [int((tensor != 0).sum()) for tensor in weights]
    exact = 4 * sum(t.numel() for t in state.values() if not is_weight(t))
    places = sum(position_bytes(t.numel(), n) for t, n in zip(weights, kept, strict=True))
    hint = "kept weights take 4 bytes each, their places some, and biases are there as well"
    check(report["pruned"] >= 0.96 * (4 * sum(kept) + exact + places), hint)
    hint = "quantised: indices of kept weights, their places, biases"
    check(report["quantised"] >= 0.96 * (0.8 * sum(kept) * 5 / 8 + exact + places), hint)
    # Codebooks outweigh everything in many small tensors, each with just 2^bits values.
    levels = torch.linspace(-1.0, 1.0, 16)
    small = {f"{i}.weight": levels[rng.permutation(48) % 16].view(6, 8) for i in range(12)}
    report = expect_stages(student, small, 0.0, 4)
    hint = "every tensor brings its own codebook: count it"
    check(report["quantised"] >= 12 * (48 * 4 / 8 * 0.8 + 16 * 2), hint)


def is_changed_by_compress(student: Any, state: State, sparsity: float, bits: int) -> bool:
    """Whether the student's own compress, which a report calls, changes the state, or fails."""
    ref = student.put(state)
    try:
        student.compress(ref, sparsity, bits)
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        return True
    return not is_same(student.fetch(ref), state)


def is_same(after: State, state: State) -> bool:
    """Whether a state holds the same tensors in the same order."""
    return list(after) == list(state) and all(torch.equal(after[n], state[n]) for n in state)


@stage_report.check(weight=0.3)
def test_report_leaves_the_state_alone(student: Any, rng: RandomInputs) -> None:
    """Each stage is smaller than the one before, and the state is unchanged."""
    state = sparse_state(rng, 1.0)
    live = student.put(state)
    found = expect_dict(student.stage_report(live, 0.8, 4), "stage_report", STAGES)
    sizes = [expect_int(found[stage], f"bytes of {stage}") for stage in STAGES[:3]]
    check(sizes[0] > sizes[1] > sizes[2] > 0, "pruning saves bytes, and sharing saves more")
    if not is_same(student.fetch(live), state):
        # a compress that changes its argument costs its own exercise
        hint = "the state was changed in place: work on copies"
        check(is_changed_by_compress(student, state, 0.8, 4), hint)
