# Generated from solutions/s5_automl/tests/test_public_factorization.py by `autograder release`: change it there.
"""Public tests of factorization.py; see test_public_search_space.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from autograder.graders.toolkit import Exercise, agreements, allclose, case, check

svd_factorize = Exercise("s5.svd_factorize")


@svd_factorize.check(visibility="visible")
def test_rank_one_by_hand(student: Any) -> None:
    """A matrix of rank 1 is a column times a row: 2 + 3 weights in place of 6, and the bias."""
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0, -1.0])))
    pair = student.svd_factorize(layer, 1)
    check(isinstance(pair, nn.Sequential) and len(pair) == 2, "a Sequential of two layers")
    check(sum(p.numel() for p in pair.parameters()) == 7, "2 + 3 weights and 2 biases")
    product = pair[1].weight.detach() @ pair[0].weight.detach()
    check(allclose(product, layer.weight.detach()), "the product of both is the matrix")


depthwise_separable = Exercise("s5.depthwise_separable")


@depthwise_separable.check(visibility="visible")
def test_separable_by_hand(student: Any) -> None:
    """4 to 6 channels and 3x3: 4 * 9 + 4 * 6 weights in place of 216, and 6 biases."""
    pair = student.depthwise_separable(nn.Conv2d(4, 6, 3, padding=1))
    check(sum(p.numel() for p in pair.parameters()) == 36 + 24 + 6, "66 parameters")


grouped = Exercise("s5.grouped")


@grouped.check(visibility="visible")
def test_groups_by_hand(student: Any) -> None:
    """Two groups of a 4 to 6 convolution: half of the weights."""
    layer = student.grouped(nn.Conv2d(4, 6, 3, stride=2), 2)
    check(isinstance(layer, nn.Conv2d) and layer.groups == 2, "a Conv2d with two groups")
    check(layer.weight.shape == (6, 2, 3, 3) and layer.stride == (2, 2), "stride 2 as before")


low_rank_conv = Exercise("s5.low_rank_conv")


@low_rank_conv.check(visibility="visible")
def test_low_rank_by_hand(student: Any) -> None:
    """A kernel that is one product of four vectors needs rank 1 and loses nothing."""
    layer = nn.Conv2d(4, 6, 3, padding=1)
    vectors = [torch.arange(1.0, n + 1) for n in layer.weight.shape]
    with torch.no_grad():
        layer.weight.copy_(torch.einsum("a,b,c,d->abcd", *vectors) / 100)
    small = student.low_rank_conv(layer, 1)
    weights = sum(p.numel() for p in small.parameters() if p.dim() > 1)
    check(weights <= 1 * (4 * 3 + 6 * 3), "at most 30 weights in place of 216")
    clean = student.clean()
    x = torch.linspace(-1, 1, 4 * 25).reshape(1, 4, 5, 5)
    outputs = clean.call(clean.put(small), x).detach()
    with torch.no_grad():
        check(allclose(outputs, layer(x), 1e-3, 1e-3), "the outputs are those of the layer")


rank_for_energy = Exercise("s5.rank_for_energy", agreement=agreements.whole_number)


@rank_for_energy.check(visibility="visible")
def test_rank_by_hand() -> Any:
    """The squares of 4, 2, 1, 1 are 16, 4, 1, 1: two of them are 20 of 22."""
    values = torch.tensor([4.0, 2.0, 1.0, 1.0])
    yield case(values, 0.9).gives(2)
    yield case(values, 0.5).gives(1)
    yield case(values, 1.0).gives(4)
