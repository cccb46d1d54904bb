"""Sums over layers and products, right answers, and what a score is worth, from numbers by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autograder.records.measurement import (
    Answers,
    MeasuredLayer,
    Measurement,
    Products,
    Score,
    Stored,
)

FIRST = MeasuredLayer(
    0,
    "Conv",
    (1,),
    (Stored("w", 100, 40, 8), Stored("b", 10, 7, 32)),
    (Products(10, 20, 80, 3, 8, 4), Products(3, 5, 15, 0, 2, 16)),
    6,
)
SECOND = MeasuredLayer(
    1, "Gemm", (1,), (Stored("v", 9, 9, 4),), (Products(4, 25, 100, 0, 1, 1),), 5
)
BOTH = Measurement(1, "", 21, (FIRST, SECOND))


def test_a_layer_sums_its_constants_and_products() -> None:
    assert (FIRST.params, FIRST.nonzeros, FIRST.macs) == (110, 47, 215)
    assert FIRST.stored_bits == 40 * 8 + 7 * 32


def test_a_layer_without_anything_is_free() -> None:
    empty = MeasuredLayer(0, "Relu", (1,))
    assert (empty.params, empty.nonzeros, empty.stored_bits, empty.macs) == (0, 0, 0, 0)
    assert (empty.ops, empty.bits) == (0, None)


def test_a_measurement_sums_its_layers() -> None:
    assert (BOTH.params, BOTH.nonzeros, BOTH.macs, BOTH.ops) == (119, 56, 315, 11)
    assert BOTH.stored_bits == 40 * 8 + 7 * 32 + 9 * 4


def test_a_constant_is_maskable_unless_it_says_otherwise() -> None:
    assert Stored("w", 1, 1, 8).maskable


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ([(8, 4)], (8, 4)),
        ([(8, 4), (2, 16)], (2, 16)),
        ([(2, 16), (8, 4)], (2, 16)),
        ([(3, 1), (1, 2)], (3, 1)),
    ],
)
def test_the_bits_of_a_layer_are_those_of_its_widest_products(
    widths: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    products = tuple(Products(1, 1, 1, 0, *each) for each in widths)
    assert replace(FIRST, products=products).bits == expected


@pytest.mark.parametrize(
    ("widths", "macs", "ops", "excess"),
    [
        ((8, 8), 100, 24, 0),
        ((8, 8), 100, 25, 0),  # a quarter is free
        ((8, 8), 100, 26, 1),
        ((8, 8), 103, 26, 1),  # of whole numbers
        ((32, 8), 100, 26, 1),  # no more for wider ones
        ((1, 16), 100, 26, 1),
        ((4, 4), 100, 13, 1),  # half as much for 4 bits: 12.5
        ((4, 2), 100, 13, 1),
        ((2, 4), 100, 13, 1),
        ((1, 1), 320, 11, 1),
        ((8, 8), 0, 7, 7),
    ],
)
def test_operations_beyond_a_quarter_are_in_excess(
    widths: tuple[int, int], macs: int, ops: int, excess: int
) -> None:
    layer = replace(FIRST, products=(Products(macs, 1, macs, 0, *widths),), ops=ops)
    assert Measurement(1, "", 21, (layer,)).excess_macs == excess
    assert Measurement(
        1, "", 21, (replace(layer, ops=0), replace(layer, products=()))
    ).excess_macs == (excess)


def test_what_is_free_is_summed_before_it_is_rounded() -> None:
    layer = replace(FIRST, products=(Products(2, 1, 2, 0, 8, 8), Products(2, 1, 2, 0, 8, 8)), ops=3)
    assert Measurement(1, "", 21, (layer, layer)).excess_macs == 6 - 2


def test_the_worst_batch_and_the_mean_draw_count() -> None:
    answers = Answers(400, {1: 390, 7: 380, 250: 385}, (370, 371, 373), "public", 0.0)
    assert (answers.correct, answers.correct_perturbed) == (380, 371)
    assert replace(answers, perturbed=(370,)).correct_perturbed == 370


def score(**fields: object) -> Score:
    answers = Answers(400, {1: 390}, (390,), "public", 0.0)
    made = Score("t", "digits", "", "", 1, answers=answers, counted=380, gate=380)
    return replace(made, **fields)  # type: ignore[arg-type]


def test_at_the_gate_an_entry_is_valid() -> None:
    assert score().valid
    assert score(counted=381).valid
    assert not score(counted=379).valid
    assert not score(refusal="no").valid
    assert not score(answers=None).valid


def test_accuracy_is_what_counts_of_the_images() -> None:
    assert score().accuracy == 0.95
    assert score(answers=None).accuracy == 0


def test_nothing_counts_unless_it_was_measured() -> None:
    bare = Score("t", "digits", "", "", 1)
    assert (bare.counted, bare.gate, bare.valid) == (0, 0, False)
