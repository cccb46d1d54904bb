# Generated from solutions/s3_weight_clustering/tests/test_public_deep_compression.py by `autograder release`: change it there.
"""Public tests of deep_compression.py; see test_public_clustering.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autograder.graders.toolkit import (
    Exercise,
    check,
    expect_dict,
    expect_int,
    expect_tensor,
)


def pruned_state() -> dict[str, Tensor]:
    """A layer of 100 x 200 weights, of which 2,000 are not 0, its bias, and a counter."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(100, 200, generator=generator)
    weight[weight.abs() < weight.abs().flatten().kthvalue(18_000).values] = 0.0
    return {
        "weight": weight,
        "bias": torch.randn(100, generator=generator),
        "steps": torch.tensor(7),
    }


compress = Exercise("s3.compress")


@compress.check(visibility="visible")
def test_state_comes_back(student: Any) -> None:
    """Half of 4 weights is pruned, the other half kept; the bias is exact."""
    state = {"weight": torch.tensor([[0.1, -2.0], [3.0, 0.2]]), "bias": torch.tensor([1 / 3, -1.0])}
    data = student.compress(state, 0.5, 1)
    check(isinstance(data, bytes), "compress returns bytes")
    back = expect_dict(student.decompress(data), "decompress", list(state))
    check(list(back) == list(state), "names in their order")
    bias = expect_tensor(back["bias"], "bias", (2,), torch.float32)
    check(torch.equal(bias, state["bias"]), "one dimension: kept exactly")
    weight = expect_tensor(back["weight"], "weight", (2, 2), torch.float32)
    expected = torch.tensor([[0.0, -2.0], [3.0, 0.0]])
    check(torch.equal(weight, expected), "two values are left, and one bit tells two values apart")


@compress.check(visibility="visible")
def test_small_file(student: Any) -> None:
    """A layer with 10 % nonzeros and 5 bits is stored at least 20 times smaller."""
    state = pruned_state()
    data = student.compress(state, 0.9, 5)
    back = expect_dict(student.decompress(data), "decompress", list(state))
    weight = expect_tensor(back["weight"], "weight", (100, 200), torch.float32)
    check(bool((weight[state["weight"] == 0] == 0).all()), "zeros stay zeros")
    check(len(weight[weight != 0].unique()) <= 2**5, "at most 32 nonzero values")
    check(torch.equal(back["steps"], state["steps"]), "integers are kept exactly")
    dense = sum(tensor.nbytes for tensor in state.values())
    check(dense / len(data) >= 20, "store neither zeros nor 32 bits a weight")


stage_report = Exercise("s3.stage_report")


@stage_report.check(visibility="visible")
def test_each_stage_is_smaller(student: Any) -> None:
    """Dense bytes are 4 * 20,100; every stage saves some, the last is the file's length."""
    state = pruned_state()
    del state["steps"]
    report = student.stage_report(state, 0.9, 5)
    stages = ["dense", "pruned", "quantised", "huffman"]
    report = expect_dict(report, "stage_report", stages)
    sizes = [expect_int(report[stage], stage) for stage in stages]
    check(sizes[0] == 80_400, "4 bytes for each of 100 * 200 + 100 floats")
    check(sizes == sorted(sizes, reverse=True), "every stage is smaller than the one before")
    check(sizes[3] == len(student.compress(state, 0.9, 5)), "huffman: the length of the file")
