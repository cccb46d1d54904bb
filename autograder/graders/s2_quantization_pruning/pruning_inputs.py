"""What several graders of pruning.py need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s2_quantization_pruning.pruning_references import (
    Masks,
    expect_mask,
    layer_weights,
    magnitude_reference,
    random_mask,
    small_network,
)
from autograder.graders.toolkit import (
    RandomInputs,
    check,
    expect_value_error,
)

COUNT = "prune exactly round(sparsity * n), half to even as Python rounds; True = keep"


TIES = "of equal magnitudes, the one with the lower flat index is pruned first"


UNTOUCHED = "work on a copy: an argument was changed"


def share_outside(rng: RandomInputs) -> tuple[float, float]:
    """A number below 0 and one above 1."""
    return -rng.number(0.01, 0.5), 1 + rng.number(0.01, 0.5)


def pruned_count(masks: Masks) -> int:
    """How many elements are pruned in all masks together."""
    return sum(int((~mask).sum()) for mask in masks.values())


def expect_pruned(student: Any, hint: str, values: Tensor, sparsity: float) -> None:
    """Check one mask of the student's magnitude_mask: first its count, then its places."""
    found = student.magnitude_mask(values, sparsity)
    mask = expect_mask(found, "magnitude_mask", values.shape)
    expected = magnitude_reference(values, sparsity)
    check(int((~mask).sum()) == int((~expected).sum()), COUNT)
    check(torch.equal(mask, expected), hint)


def masks_for(rng: RandomInputs, weights: dict[str, Tensor]) -> Masks:
    """A random mask for each weight, with a share of its own."""
    return {
        name: random_mask(rng, *values.shape, share=rng.number(0.3, 0.7))
        for name, values in weights.items()
    }


def expect_mask_errors(
    student: Any, rng: RandomInputs, function: Callable[[Any, Masks], Any]
) -> None:
    """Masks with an unknown name, or of another shape, raise ValueError."""
    network = small_network(rng)
    masks = masks_for(rng, layer_weights(network))
    name = rng.choice(sorted(masks))
    rows, columns = masks[name].shape
    expect_value_error(function, student.put(network), {f"{name}s": masks[name]})
    wrong = {**masks, name: random_mask(rng, rows, columns + 1)}
    expect_value_error(function, student.put(network), wrong)
