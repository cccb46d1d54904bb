# Generated from solutions/s5_automl/factorization.py by `autograder release`: change it there.
"""Session 5, factorisation: one layer becomes several smaller ones.

A matrix of rank r is a product of two thin ones, and a convolution is a matrix, too, in several
ways. What is returned consists of PyTorch's own layers, so every tool that counts parameters and
MACs, exports or prunes can go on with it. Biases are added once, by the last layer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shared.checks import check_fraction, check_int, refuse


def rank_for_energy(singular_values: Tensor, energy: float) -> int:
    """Return the smallest rank whose singular values hold at least the share `energy`.

    Energy is measured in squares, as the Frobenius norm is: the best approximation of rank r has
    the squared error sum_{i > r} s_i^2 (Eckart and Young 1936).

    Args:
        singular_values: (n,) in descending order.
        energy: 0..1.

    Raises:
        ValueError: if `energy` is outside 0..1 or there are no singular values.

    >>> rank_for_energy(torch.tensor([4.0, 2.0, 1.0, 1.0]), 0.9)  # 16 and 20 of 22
    2
    """
    # TODO(s5.rank_for_energy): your code; the docstring says what it must do
    raise NotImplementedError("s5.rank_for_energy")


def svd_factorize(linear: nn.Linear, rank: int) -> nn.Sequential:
    """Return two linear layers in place of one, the best approximation of this rank.

    W = U S V^T, and the `rank` largest singular values are kept: first V^T without a bias, then
    U S with the bias. From in * out weights to rank * (in + out), MACs alike.

    Args:
        linear: not changed.
        rank: 1 to min(in, out).

    Returns:
        Sequential of Linear(in, rank, bias=False) and Linear(rank, out), with the dtype, the device
        and, in the second, the bias of `linear`.

    Raises:
        ValueError: if `rank` is no int in that range.
    """
    # TODO(s5.svd_factorize): your code; the docstring says what it must do
    raise NotImplementedError("s5.svd_factorize")


# ---- convolutions ----------------------------------------------------------------------------


def _check_ungrouped(conv: nn.Conv2d) -> None:
    """ValueError if `conv` has groups already."""
    if conv.groups != 1:
        raise refuse("conv.groups", "1", conv.groups)


def _like(conv: nn.Conv2d, in_channels: int, out_channels: int, groups: int = 1) -> nn.Conv2d:
    """A layer that looks at the image as `conv` does (kernel, stride, padding), without a bias."""
    layer = nn.Conv2d(
        in_channels,
        out_channels,
        conv.kernel_size,  # type: ignore[arg-type]  # pairs here
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        groups,
        bias=False,
        padding_mode=conv.padding_mode,
    )
    return layer.to(conv.weight)


def _pointwise(in_channels: int, out_channels: int, conv: nn.Conv2d, bias: bool) -> nn.Conv2d:
    """A 1x1 convolution; with `bias` it has a copy of that of `conv`, if there is one."""
    layer = nn.Conv2d(in_channels, out_channels, 1, bias=bias and conv.bias is not None)
    layer = layer.to(conv.weight)
    if layer.bias is not None and conv.bias is not None:
        with torch.no_grad():
            layer.bias.copy_(conv.bias)
    return layer


def depthwise_separable(conv: nn.Conv2d) -> nn.Sequential:
    """Return a depthwise and a pointwise convolution in place of `conv` (Howard et al. 2017).

    The first one filters every channel on its own (groups = in, with kernel, stride, padding and
    dilation of `conv`, no bias), the second one mixes channels (1x1, with the bias). From
    in * out * kh * kw weights to in * kh * kw + in * out. For each input channel the filters to all
    outputs become multiples of a single one; start with the best (a singular vector), then train.

    Args:
        conv: not grouped; not changed.

    Returns:
        Sequential of two Conv2d.

    Raises:
        ValueError: if `conv` is grouped already.
    """
    # TODO(s5.depthwise_separable): your code; the docstring says what it must do
    raise NotImplementedError("s5.depthwise_separable")


def grouped(conv: nn.Conv2d, groups: int) -> nn.Conv2d:
    """Return a convolution with `groups` groups in place of `conv`.

    Output channels of a group see the input channels of the same group only: 1/groups of the
    weights and MACs. Kept are the weights on this diagonal; train on afterwards.

    Args:
        conv: not grouped; not changed.
        groups: divides the input and the output channels.

    Raises:
        ValueError: if `groups` does not divide both, or `conv` is grouped already.
    """
    # TODO(s5.grouped): your code; the docstring says what it must do
    raise NotImplementedError("s5.grouped")


def low_rank_conv(conv: nn.Conv2d, rank: int) -> nn.Sequential:
    """Return three convolutions of low rank in place of `conv` (Tucker-2, Kim et al. 2016).

    A 1x1 convolution from in to `rank` channels, one like `conv` between `rank` channels, and a 1x1
    convolution to out channels with the bias:

        W[o, i] = sum_{a, b} O[o, a] * K[a, b] * I[i, b]

    where the columns of O and I are the largest singular vectors of W, unfolded along its outputs
    and its inputs. From in * out * kh * kw weights to rank * (in + rank * kh * kw + out). The other
    usual way, a kh x 1 and a 1 x kw convolution with `rank` channels between them (Jaderberg et
    al. 2014), is as good an answer.

    Args:
        conv: not grouped; not changed.
        rank: at least 1; more than there are channels means as many as there are.

    Returns:
        Sequential of Conv2d.

    Raises:
        ValueError: if `rank` is no int of at least 1, or `conv` is grouped.
    """
    # TODO(s5.low_rank_conv): your code; the docstring says what it must do
    raise NotImplementedError("s5.low_rank_conv")


def _largest_singular_vectors(matrix: Tensor, rank: int) -> Tensor:
    """(rows, at most rank) left singular vectors of a matrix (rows, columns)."""
    return torch.linalg.svd(matrix, full_matrices=False).U[:, :rank]
