"""Costs of an entry: lower is better. Each has a name and a version that never changes meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from autograder.course import DatasetRules, FinalProject
from autograder.moments import moment_with_offset
from autograder.project.card import TEAM
from autograder.records.measurement import (
    Answers,
    MeasuredLayer,
    Measurement,
    Products,
    Score,
    Stored,
)

FULL_BITS = 32


def imt_2025(measured: Measurement, params: float, ops: float) -> float:
    """The cost of IMT Atlantique's course *Efficient Deep Learning*, layer by layer.

    sum of nonzeros * bits / 32 over `params`, plus sum of MACs * max(weight bits, activation
    bits) / 32 over `ops`. The course's own formula takes shares that teams declare, see
    `imt_2025_formula`; here everything is measured. Unstructured zeros save storage only.
    """
    storage = measured.stored_bits / FULL_BITS
    products = [products for layer in measured.layers for products in layer.products]
    arithmetic = sum(p.macs * max(p.weight_bits, p.activation_bits) / FULL_BITS for p in products)
    return storage / params + (arithmetic + measured.excess_macs) / ops


def imt_2025_formula(
    structured: float,
    unstructured: float,
    weight_bits: int,
    activation_bits: int,
    weights: int,
    macs: int,
    params: float = 5.6e6,
    ops: float = 2.8e8,
) -> float:
    """The course's formula on declared numbers, for comparison with published results.

    [1 - (p_s + p_u)] * (q_w / 32) * w / 5.6e6 + (1 - p_s) * (max(q_w, q_a) / 32) * f / 2.8e8
    with shares p_s and p_u of weights removed in whole channels or one by one.
    """
    storage = (1 - (structured + unstructured)) * weight_bits / FULL_BITS * weights / params
    widest = max(weight_bits, activation_bits)
    return storage + (1 - structured) * widest / FULL_BITS * macs / ops


def micronet_2019(measured: Measurement, params: float, ops: float) -> float:
    """The cost of the MicroNet challenge at NeurIPS 2019: storage / params + operations / ops.

    A b-bit parameter counts b / 32; a sparse tensor its nonzeros and a one-bit mask, where that is
    less. Multiplications and additions count apart: a product at its wider factor's bits / 32
    (products with a zero weight are left out, those with a one-bit weight are one-bit
    operations), an addition at 32 bits, one less than products in each sum. Other operations
    count 1.
    """
    storage = sum(_storage(constant) for layer in measured.layers for constant in layer.stored)
    operations = sum(_operations(layer) for layer in measured.layers)
    return storage / params + operations / ops


def _storage(stored: Stored) -> float:
    """In 32-bit words."""
    dense = stored.elements * stored.bits
    masked = stored.nonzeros * stored.bits + stored.elements if stored.maskable else dense
    return min(dense, masked) / FULL_BITS


def _operations(layer: MeasuredLayer) -> float:
    return sum(map(_multiplications, layer.products)) + _additions(layer) + layer.ops


def _multiplications(products: Products) -> float:
    bits = max(products.weight_bits, products.activation_bits)
    if products.weight_bits == 1:
        bits = 1
    return products.nonzero_macs * bits / FULL_BITS


def _additions(layer: MeasuredLayer) -> int:
    """Each sum of k products takes max(0, k - 1) additions.

    The products of a ConvTranspose are counted from its input; its sums are its outputs.
    """
    if layer.kind == "ConvTranspose":
        products = sum(each.nonzero_macs for each in layer.products)
        return max(0, products - math.prod(layer.shape))
    return sum(each.nonzero_macs - (each.outputs - each.empty_outputs) for each in layer.products)


Cost = Callable[[Measurement, float, float], float]

COSTS: dict[str, Cost] = {"imt-2025": imt_2025, "micronet-2019": micronet_2019}
"""By the name that course.yaml uses."""


# ---- the course's rules, applied to what was measured --------------------------------------------

MEMORIZED_GAP = 0.05  # beyond the reference network's own drop


def entry_costs(
    measured: Measurement, rules: DatasetRules, project: FinalProject
) -> dict[str, float]:
    """Every cost of the course by name."""
    return {
        cost: COSTS[cost](measured, rules.references[cost].params, rules.references[cost].ops)
        for cost in project.costs
    }


def ratios(measured: Measurement, rules: DatasetRules) -> dict[str, float]:
    """Shares of the reference network that are left."""
    network = rules.network
    return {
        "params": measured.nonzeros / network.params,
        "macs": (measured.macs + measured.excess_macs) / network.ops,
        "bytes": measured.stored_bits / (32 * network.params),
    }


def effective_correct(answers: Answers, rules: DatasetRules) -> int:
    """Right answers that count: the perturbed ones get what the reference loses on them."""
    # Rounded first: 0.0029 of 10,000 are 29, and not 28.999…96.
    slack = int(round(rules.perturbation_drop * answers.images, 6))
    return min(answers.correct, answers.correct_perturbed + slack)


def memorized(answers: Answers, rules: DatasetRules) -> str:
    """Why an entry is refused that loses more on perturbed images than one that learnt, or ""."""
    gap = (answers.correct - answers.correct_perturbed) / answers.images
    if gap <= rules.perturbation_drop + MEMORIZED_GAP:
        return ""
    return (
        f"it loses {100 * gap:.1f} points of accuracy on slightly changed test images: "
        "it has memorised them"
    )


def _check_measurement(measured: Measurement, score: Score) -> None:
    """ValueError unless the numbers of a measurement go together."""
    if (measured.sha256, measured.file_bytes) != (score.sha256, score.file_bytes):
        raise ValueError("it was measured on another file")
    for layer in measured.layers:
        if any(constant.nonzeros > constant.elements for constant in layer.stored):
            raise ValueError("it has more nonzeros than elements")
        for products in layer.products:
            used = products.outputs - products.empty_outputs
            if products.nonzero_macs > products.macs or not 0 <= used <= products.nonzero_macs:
                raise ValueError("its products do not add up")


def revalidate(score: Score, project: FinalProject) -> Score:
    """A score read from a file, with everything computed again that can be.

    Only the measurement and the answers are taken from the record, so that costs, gate and ranks
    are the course's present ones and nobody's text. Raises ValueError, in one line, if the record
    contradicts itself or names a data set that the course does not have.
    """
    rules = next((r for name, r in project.datasets.items() if name == score.dataset), None)
    if rules is None:
        raise ValueError("its data set is not in course.yaml")
    if not (TEAM.fullmatch(score.team) and project.admits(score.team)):
        raise ValueError("its team is not in course.yaml")
    if moment_with_offset(score.scored_at) is None:
        raise ValueError("scored_at is not an ISO 8601 time with a time zone")
    measured, answers = score.measurement, score.answers
    if measured is not None:
        _check_measurement(measured, score)
    if answers is not None:
        numbers = [*answers.by_batch.values(), *answers.perturbed]
        complete = answers.by_batch and answers.perturbed and answers.images == rules.test_images
        if not complete or max(numbers) > answers.images:
            raise ValueError("its numbers of right answers do not fit the test images")
    if not score.refusal and (measured is None or answers is None):
        raise ValueError("it has neither a refusal nor a measurement")
    return replace(
        score,
        refusal=score.refusal or (memorized(answers, rules) if answers else ""),
        costs=entry_costs(measured, rules, project) if measured else {},
        ratios=ratios(measured, rules) if measured else {},
        counted=effective_correct(answers, rules) if answers else 0,
        gate=rules.gate_correct,
    )
