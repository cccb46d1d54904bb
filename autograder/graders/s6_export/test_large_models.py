"""Graders of onnx_quantization.py's extra credit: outliers, the KV cache, two of four."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    allclose,
    case,
    check,
    expect_int,
    expect_list,
    expect_tensor,
    expect_value_error,
    round_trips,
)

# ---- smooth ------------------------------------------------------------------------------------


def smoothed(weight: Tensor, absmax: Tensor, alpha: float = 0.5) -> tuple[Tensor, Tensor]:
    """Column by column, in Python's floats."""
    scales = []
    for loud, column in zip(absmax.tolist(), weight.T.tolist()):
        most = max(map(abs, column))
        dead = loud == 0 or most == 0
        scales.append(1.0 if dead else loud**alpha / most ** (1 - alpha))
    factors = torch.tensor(scales, dtype=torch.float64)
    return (weight.double() * factors).to(weight.dtype), factors.to(weight.dtype)


def both(actual: object, expected: Any, name: str) -> bool:
    """Agreement of weight and scales."""
    pairs = zip(expect_list(actual, name, 2), expected, strict=True)
    return all(
        allclose(expect_tensor(a, name, b.shape, b.dtype), b, 1e-4, 1e-7 * float(b.abs().max()))
        for a, b in pairs
    )


def columns(rng: RandomInputs) -> tuple[Tensor, Tensor]:
    """A weight with columns of any size, and magnitudes of its inputs."""
    width = rng.integer(6, 12)
    sizes = 10 ** rng.uniform(width, low=-2, high=1)
    return rng.normal(rng.integer(4, 9), width) * sizes, 10 ** rng.uniform(width, low=-1, high=2)


smooth = Exercise("s6.smooth", reference=smoothed, agreement=both)


@smooth.check(weight=3, essential=True)
def test_outliers_move_into_the_weight(rng: RandomInputs) -> Any:
    """s = max|X|^alpha / max|W|^(1 - alpha) per input channel, and the columns times s."""
    for alpha in (0.5, rng.number(0.1, 0.4), rng.number(0.6, 0.9)):
        yield case(*columns(rng), alpha)
    yield case(*columns(rng))


@smooth.check(weight=1)
def test_all_or_nothing(rng: RandomInputs) -> Any:
    """alpha 0 and alpha 1 move nothing of the inputs, or everything."""
    yield case(*columns(rng), 0.0)
    yield case(*columns(rng), 1.0)


@smooth.check(weight=1)
def test_dead_channels(rng: RandomInputs) -> Any:
    """A channel without inputs or without weights keeps s = 1."""
    for alpha in (0.5, 0.0, 1.0):
        weight, absmax = columns(rng)
        weight[:, 1] = 0.0
        absmax[3] = 0.0
        yield case(weight, absmax, alpha)
    weight, absmax = columns(rng)
    weight[:, 2] = 0.0
    absmax[2] = 0.0
    yield case(weight, absmax)


@smooth.check(weight=1)
def test_tiny_and_huge_numbers(rng: RandomInputs) -> Any:
    """Weights of 1e-25 or inputs of 1e25 are no dead channels."""
    weight, absmax = columns(rng)
    yield case(1e-12 * weight, 1e12 * absmax)
    yield case(1e-25 * weight, absmax)
    yield case(weight, 1e-25 * absmax)


@smooth.check(weight=0.3)
def test_smoothing_leaves_its_arguments_alone(student: Any, rng: RandomInputs) -> None:
    """Weight and scales are right, and the arguments unchanged."""
    values = columns(rng)
    live = [student.put(value) for value in values]
    found = student.smooth(*live, 0.5)
    check(both(found, smoothed(*values), "smooth"), "s, and the columns times s")
    for ref, value in zip(live, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "an argument was changed in place")


test_smooth_refuses = smooth.refuses(
    lambda rng: case(rng.normal(3, 4), rng.uniform(5)),
    lambda rng: case(rng.normal(3, 4), rng.uniform(4), -0.1),
    lambda rng: case(rng.normal(3, 4), rng.uniform(4), 1.1),
    title="Shapes that do not match, and an alpha outside 0..1, raise ValueError.",
    weight=0.6,
)

# ---- awq_scales --------------------------------------------------------------------------------


def loss(weight: Tensor, scales: Tensor, inputs: Tensor, bits: int, group: int | None) -> float:
    """Squared error of the layer's outputs when the scaled weight is rounded."""
    scaled = weight.double() * scales.double()
    top = 2 ** (bits - 1) - 1
    back = torch.empty_like(scaled)
    for start in range(0, scaled.shape[1], group or scaled.shape[1]):
        part = scaled[:, start : start + (group or scaled.shape[1])]
        step = part.abs().amax(dim=1, keepdim=True) / top
        step[step == 0] = 1.0
        back[:, start : start + part.shape[1]] = (part / step).round().clamp(-top, top) * step
    error = back / scales.double() - weight.double()
    return float((error @ inputs.double().T).square().sum())


def a_layer(rng: RandomInputs, loud: int) -> tuple[Tensor, Tensor]:
    """A weight (24, 32), and inputs, some channels of which are 40 times as large."""
    inputs = rng.normal(64, 32)
    inputs[:, rng.permutation(32)[:loud]] *= 40
    return rng.normal(24, 32), inputs


def scales_of(student: Any, *arguments: Any) -> Tensor:
    """The student's scales: positive, one for each input."""
    found = expect_tensor(student.awq_scales(*arguments), "awq_scales", (32,))
    check(bool((found > 0).all()), "scales are positive")
    return found


awq_scales = Exercise("s6.awq_scales")


@awq_scales.check(weight=3, essential=True)
def test_loud_channels_are_protected(student: Any, rng: RandomInputs) -> None:
    """With a few loud channels, at most half of the error of plain rounding."""
    for bits, group in ((3, None), (3, 16), (4, 8)):
        weight, inputs = a_layer(rng, 2)
        scales = scales_of(student, weight, inputs, bits, group, 20)
        plain = loss(weight, torch.ones(32), inputs, bits, group)
        hint = "the error is not halved: columns that meet loud inputs need larger scales"
        check(loss(weight, scales, inputs, bits, group) <= 0.5 * plain, hint)


@awq_scales.check(weight=2)
def test_never_worse_than_rounding(student: Any, rng: RandomInputs) -> None:
    """The error is never above that of plain rounding, on inputs of any kind."""
    for loud, bits, group in ((0, 2, None), (0, 4, 8), (16, 3, 16), (1, 8, None)):
        weight, inputs = a_layer(rng, loud)
        if loud == 16:
            weight *= 10 ** rng.uniform(32, low=-1, high=1)
        for grid in (1, 5):
            scales = scales_of(student, weight, inputs, bits, group, grid)
            plain = loss(weight, torch.ones(32), inputs, bits, group)
            hint = "worse than without scales: exponent 0 is among the candidates"
            check(loss(weight, scales, inputs, bits, group) <= plain * (1 + 1e-4), hint)
    check(not bool((scales == scales[0]).all()), "a loud channel has another scale than the rest")


@awq_scales.check(weight=1)
def test_silent_channels(student: Any, rng: RandomInputs) -> None:
    """A channel without inputs, or a weight of zeros, is no problem: scales stay positive."""
    weight, inputs = a_layer(rng, 2)
    inputs[:, 3:6] = 0.0
    weight[:, 8] = 0.0
    weight[2] = 0.0
    scales = scales_of(student, weight, inputs, 3, None, 10)
    plain = loss(weight, torch.ones(32), inputs, 3, None)
    check(loss(weight, scales, inputs, 3, None) < plain, "no better than without scales")
    scales_of(student, weight, 0 * inputs, 3, None, 10)


@awq_scales.check(weight=0.3)
def test_scales_leave_the_layer_alone(student: Any, rng: RandomInputs) -> None:
    """The scales are of use, and weight and activations unchanged."""
    values = a_layer(rng, 2)
    live = [student.put(value) for value in values]
    scales = scales_of(student, *live, 3, 16, 10)
    plain = loss(values[0], torch.ones(32), values[1], 3, 16)
    check(loss(values[0], scales, values[1], 3, 16) < plain, "no better than without scales")
    for ref, value in zip(live, values, strict=True):
        check(torch.equal(student.fetch(ref), value), "an argument was changed in place")


test_awq_refuses = awq_scales.refuses(
    lambda rng: case(rng.normal(4, 6), rng.normal(5, 7), 4, None, 5),
    lambda rng: case(rng.normal(4, 6), rng.normal(5, 6), 4, 4, 5),
    lambda rng: case(rng.normal(4, 6), rng.normal(5, 6), 0, None, 5),
    lambda rng: case(rng.normal(4, 6), rng.normal(5, 6), 4, None, 0),
    title="Shapes that do not match, a group that does not divide, no bits raise ValueError.",
    weight=0.5,
)

# ---- KVCache -----------------------------------------------------------------------------------


class Cache:
    """The reference: numbers one by one."""

    def __init__(self, bits: int, residual: int) -> None:
        self.bits, self.residual = bits, residual
        self.tokens: list[tuple[Tensor, Tensor]] = []

    def append(self, k: Tensor, v: Tensor) -> None:
        """Keep the tokens."""
        self.tokens += zip(k.double(), v.double(), strict=True)

    def coded(self, numbers: Tensor) -> Tensor:
        """Numbers that share a scale and a minimum, coded and decoded."""
        low, high = float(numbers.min()), float(numbers.max())
        scale = (high - low) / (2**self.bits - 1)
        return numbers if scale == 0 else ((numbers - low) / scale).round() * scale + low

    def attend(self, q: Tensor) -> Tensor:
        """Attention in float64 over what is coded and what waits."""
        keys = torch.stack([key for key, _ in self.tokens])
        values = torch.stack([value for _, value in self.tokens])
        _, heads, dim = keys.shape
        full = len(keys) // self.residual * self.residual
        for start, head in itertools.product(range(0, full, self.residual), range(heads)):
            part = slice(start, start + self.residual)
            for channel in range(dim):
                keys[part, head, channel] = self.coded(keys[part, head, channel])
            for token in range(start, start + self.residual):
                values[token, head] = self.coded(values[token, head])
        out = torch.empty(heads, dim, dtype=torch.float64)
        for head in range(heads):
            scores = keys[:, head] @ q[head].double() / math.sqrt(dim)
            out[head] = scores.softmax(dim=0) @ values[:, head]
        return out

    @property
    def nbytes(self) -> int:
        """Codes rounded up once; scales, minima and waiting numbers 2 bytes each."""
        heads, dim = self.tokens[0][0].shape
        groups, waiting = divmod(len(self.tokens), self.residual)
        coded = groups * self.residual
        codes = math.ceil(2 * coded * heads * dim * self.bits / 8)
        scales = groups * heads * dim + coded * heads
        return codes + 2 * (2 * scales + 2 * waiting * heads * dim)


def tokens(rng: RandomInputs, count: int, heads: int, dim: int) -> tuple[Tensor, Tensor]:
    """Keys with loud channels of one sign, as in real models, and values."""
    keys = rng.normal(count, heads, dim)
    keys[..., rng.permutation(dim)[:2]] += 6.0
    return keys, rng.normal(count, heads, dim)


def attended(student: Any, cache: Any, reference: Cache, q: Tensor) -> None:
    """The student's attention is that of the reference."""
    found = expect_tensor(student.invoke(cache, "attend", q), "attend", q.shape)
    check(allclose(found, reference.attend(q), 0.0, 1e-2), "the attention is another one")


def filled(student: Any, rng: RandomInputs, bits: int, residual: int, count: int) -> None:
    """A cache of `count` tokens attends as the reference does."""
    heads, dim = rng.integer(1, 3), 2 * rng.integer(4, 7)
    cache, reference = student.KVCache(bits, residual), Cache(bits, residual)
    part = tokens(rng, count, heads, dim)
    student.invoke(cache, "append", *part)
    reference.append(*part)
    for size in (1.0, 3.0):
        attended(student, cache, reference, size * rng.normal(heads, dim))


KVCache = Exercise("s6.KVCache")


@KVCache.check(weight=3, essential=True)
def test_keys_per_channel_values_per_token(student: Any, rng: RandomInputs) -> None:
    """Keys coded per channel in groups of tokens, values per token: attention over both."""
    for bits in (2, 3, 4):
        residual = rng.integer(4, 9)
        filled(student, rng, bits, residual, residual * rng.integer(2, 3))


@KVCache.check(weight=1)
def test_waiting_tokens_are_exact(student: Any, rng: RandomInputs) -> None:
    """Fewer tokens than a group wait exactly as they are."""
    residual = rng.integer(6, 12)
    filled(student, rng, 2, residual, residual - rng.integer(1, 3))
    filled(student, rng, 2, residual, 1)
    filled(student, rng, 2, residual, 2 * residual + rng.integer(1, 4))


@KVCache.check(weight=2)
def test_one_by_one(student: Any, rng: RandomInputs) -> None:
    """Tokens that come one by one, or in any parts, give the same as all at once."""
    heads, dim, residual = 2, 8, rng.integer(4, 7)
    keys, values = tokens(rng, 3 * residual + 2, heads, dim)
    reference = Cache(3, residual)
    reference.append(keys, values)
    for parts in ([1] * len(keys), [residual - 1, 2, residual + 3, len(keys) - 2 * residual - 4]):
        cache = student.KVCache(3, residual)
        for key, value in zip(torch.split(keys, parts), torch.split(values, parts), strict=True):
            student.invoke(cache, "append", key, value)
        attended(student, cache, reference, 2 * rng.normal(heads, dim))
        size = expect_int(student.get(cache, "nbytes"), "nbytes")
        check(size == reference.nbytes, "nbytes does not depend on how tokens came")


@KVCache.check(weight=2)
def test_bytes(student: Any, rng: RandomInputs) -> None:
    """Codes by their bits, rounded up once; scales, minima and waiting numbers at 16 bits."""
    for bits, residual, count in ((3, 5, 11), (1, 3, 3), (4, 8, 7), (8, 1, rng.integer(2, 5))):
        heads, dim = rng.integer(1, 3), rng.choice([3, 5, 8])
        cache, reference = student.KVCache(bits, residual), Cache(bits, residual)
        part = tokens(rng, count, heads, dim)
        student.invoke(cache, "append", *part)
        reference.append(*part)
        hint = "count codes of keys and values, their scales and minima, and waiting tokens"
        size = expect_int(student.get(cache, "nbytes"), "nbytes")
        check(size == reference.nbytes, hint)
    empty = expect_int(student.get(student.KVCache(3, 4), "nbytes"), "nbytes")
    check(empty == 0, "a cache without tokens has no bytes")


@KVCache.check(weight=1)
def test_constant_channels(student: Any, rng: RandomInputs) -> None:
    """Where all numbers of a group are equal, they come back exactly."""
    cache, reference = student.KVCache(2, 4), Cache(2, 4)
    keys, values = tokens(rng, 8, 2, 8)
    keys[:, :, 3], values[2] = 1.5, -0.7
    student.invoke(cache, "append", keys, values)
    reference.append(keys, values)
    attended(student, cache, reference, rng.normal(2, 8))


@KVCache.check(weight=0.9, guard=True)
def test_cache_refuses(student: Any, rng: RandomInputs) -> None:
    """No bits, and groups of less than one token, raise ValueError."""
    for bits, residual in ((0, 4), (-1, 4), (4, 0), (4, -rng.integer(1, 9)), (2.5, 4)):
        expect_value_error(student.KVCache, bits, residual)


# ---- pack_2_4 ----------------------------------------------------------------------------------


def sparse(rng: RandomInputs, rows: int, fours: int, kept: int | None = 2) -> Tensor:
    """A weight with `kept` nonzeros in four at drawn places (None: 0 to 2 of them)."""
    weight = torch.zeros(rows * fours, 4)
    for four in weight:
        count = rng.integer(0, 2) if kept is None else kept
        four[rng.permutation(4)[:count]] = rng.normal(count) + rng.choice([-3.0, 3.0])
    return weight.reshape(rows, 4 * fours)


def come_back(student: Any, rng: RandomInputs, weights: list[Tensor]) -> list[Any]:
    """Weights packed in one process and unpacked in another; the packed ones."""

    def packed(encoder: Any, weight: Tensor) -> Any:
        values, metadata = expect_list(encoder.pack_2_4(weight), "pack_2_4", 2)
        n = weight.numel()
        values = expect_tensor(values, "values", dtype=weight.dtype)
        metadata = expect_tensor(metadata, "metadata", dtype=torch.uint8)
        check(values.numel() == n // 2, "half as many values as weights")
        check(metadata.numel() == -(-n // 8), "metadata: ceil(n / 8) bytes")
        return values, metadata

    messages, back = round_trips(
        student,
        rng,
        packed,
        lambda decoder, sent, _: decoder.unpack_2_4(*sent),
        weights,
    )
    for weight, found in zip(weights, back, strict=True):
        tensor = expect_tensor(found, "unpack_2_4", weight.shape, weight.dtype)
        check(torch.equal(tensor, weight), "the weight does not come back exactly")
    return messages


pack_2_4 = Exercise("s6.pack_2_4")


@pack_2_4.check(weight=3, essential=True)
def test_two_of_four(student: Any, rng: RandomInputs) -> None:
    """Weights with two nonzeros in four come back exactly, in another process."""
    come_back(student, rng, [sparse(rng, rng.integer(3, 6), rng.integer(2, 5)) for _ in range(3)])


@pack_2_4.check(weight=2)
def test_fewer_than_two(student: Any, rng: RandomInputs) -> None:
    """Fours with one nonzero or none come back as well."""
    weights = [sparse(rng, rng.integer(3, 6), 4, None), sparse(rng, 4, 4, 1), torch.zeros(2, 8)]
    come_back(student, rng, weights)


@pack_2_4.check(weight=1)
def test_odd_number_of_fours(student: Any, rng: RandomInputs) -> None:
    """Half of the last byte may be empty."""
    come_back(student, rng, [sparse(rng, 3, 1), sparse(rng, 5, 3), sparse(rng, 1, 1)])


@pack_2_4.check(weight=1)
def test_other_dtypes(student: Any, rng: RandomInputs) -> None:
    """Values keep their dtype."""
    weights = [sparse(rng, 3, 4).double() / 3, sparse(rng, 3, 4).half(), 1e-30 * sparse(rng, 3, 4)]
    come_back(student, rng, weights)


@pack_2_4.check(weight=0.3)
def test_packing_leaves_the_weight_alone(student: Any, rng: RandomInputs) -> None:
    """The weight comes back, and the one that was passed in is unchanged."""
    weight = sparse(rng, 3, 4, None)
    live = student.put(weight)
    values, metadata = expect_list(student.pack_2_4(live), "pack_2_4", 2)
    back = expect_tensor(student.unpack_2_4(values, metadata), "unpack_2_4", weight.shape)
    check(torch.equal(back, weight), "the weight does not come back exactly")
    check(torch.equal(student.fetch(live), weight), "the weight was changed in place")


@pack_2_4.check(weight=0.7, guard=True)
def test_packing_refuses(student: Any, rng: RandomInputs) -> None:
    """Columns that are no multiple of 4, and 3 nonzeros in 4, raise ValueError."""
    weight = sparse(rng, 3, 4)
    expect_value_error(student.pack_2_4, weight[:, : rng.choice([6, 7, 13])])
    full = weight.clone()
    row, four = rng.integer(0, 2), rng.integer(0, 3)
    full[row, 4 * four : 4 * four + 4] = torch.tensor([1.0, 2.0, 0.0, 3.0])
    expect_value_error(student.pack_2_4, full)
    # Two in every four after a shift by two, but not in the fours themselves.
    expect_value_error(student.pack_2_4, torch.tensor([[0.0, 1, 1, 1, 1, 0, 0, 0]]))
