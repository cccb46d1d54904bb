"""Costs of an entry: lower is better. Each has a name and a version that never changes meaning."""

from __future__ import annotations

from collections.abc import Callable

from autograder.scoring.records import Layer, Measurement, Products, Stored

FULL_BITS = 32


def imt_2025(measured: Measurement, params: float, ops: float) -> float:
    """The cost of IMT Atlantique's course *Efficient Deep Learning*, layer by layer.

    sum of nonzeros * bits / 32 over `params`, plus sum of MACs * max(weight bits, activation
    bits) / 32 over `ops`. The course's own formula takes shares that teams declare, see
    `imt_2025_formula`; here everything is measured. Unstructured zeros save storage only.
    """
    storage = measured.stored_bits / FULL_BITS
    products = [each for layer in measured.layers for each in layer.products]
    work = sum(
        each.macs * max(each.weight_bits, each.activation_bits) / FULL_BITS for each in products
    )
    return storage / params + (work + measured.excess_macs) / ops


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
    storage = sum(_storage(each) for layer in measured.layers for each in layer.stored)
    work = sum(_operations(layer) for layer in measured.layers)
    return storage / params + work / ops


def _storage(stored: Stored) -> float:
    """In 32-bit words."""
    dense = stored.elements * stored.bits
    masked = stored.nonzeros * stored.bits + stored.elements if stored.maskable else dense
    return min(dense, masked) / FULL_BITS


def _operations(layer: Layer) -> float:
    return sum(_multiplications(each) + _additions(each) for each in layer.products) + layer.ops


def _multiplications(products: Products) -> float:
    bits = max(products.weight_bits, products.activation_bits)
    if products.weight_bits == 1:
        bits = 1
    return products.nonzero * bits / FULL_BITS


def _additions(products: Products) -> int:
    """Each sum of k products takes max(0, k - 1) additions."""
    return products.nonzero - (products.sums - products.empty)


Cost = Callable[[Measurement, float, float], float]

COSTS: dict[str, Cost] = {"imt-2025": imt_2025, "micronet-2019": micronet_2019}
"""By the name that course.yaml uses."""
