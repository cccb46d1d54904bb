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
    # BEGIN SOLUTION s5.rank_for_energy
    check_fraction("energy", energy)
    if singular_values.numel() == 0:
        raise refuse("singular_values", "at least one", singular_values)
    values = singular_values.detach().double()
    largest = values.max()
    values = values / largest if largest > 0 else values  # squares neither overflow nor vanish
    held = values.square().cumsum(0)
    return 1 + int((held[:-1] < energy * held[-1]).sum())
    # END SOLUTION


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
    # BEGIN SOLUTION s5.svd_factorize
    check_int("rank", rank, 1, min(linear.in_features, linear.out_features))
    weight = linear.weight.detach()
    first = nn.Linear(linear.in_features, rank, bias=False).to(weight)
    second = nn.Linear(rank, linear.out_features, bias=linear.bias is not None).to(weight)
    u, s, vt = torch.linalg.svd(weight.double(), full_matrices=False)
    root = s[:rank].sqrt()  # half of each to either side keeps both in scale
    with torch.no_grad():
        first.weight.copy_(root[:, None] * vt[:rank])
        second.weight.copy_(u[:, :rank] * root)
        if linear.bias is not None:
            second.bias.copy_(linear.bias)
    return nn.Sequential(first, second)
    # END SOLUTION


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
    # BEGIN SOLUTION s5.depthwise_separable
    _check_ungrouped(conv)
    depthwise = _like(conv, conv.in_channels, conv.in_channels, groups=conv.in_channels)
    pointwise = _pointwise(conv.in_channels, conv.out_channels, conv, bias=True)
    filters = conv.weight.detach().double().flatten(2).transpose(0, 1)  # (in, out, kh * kw)
    u, s, vt = torch.linalg.svd(filters, full_matrices=False)
    with torch.no_grad():
        depthwise.weight.copy_(vt[:, 0].view(depthwise.weight.shape))
        pointwise.weight.copy_((u[:, :, 0] * s[:, :1]).T[:, :, None, None])
    return nn.Sequential(depthwise, pointwise)
    # END SOLUTION


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
    # BEGIN SOLUTION s5.grouped
    _check_ungrouped(conv)
    check_int("groups", groups, 1)
    if conv.in_channels % groups or conv.out_channels % groups:
        expected = f"a divisor of {conv.in_channels} and {conv.out_channels}"
        raise refuse("groups", expected, groups)
    layer = _like(conv, conv.in_channels, conv.out_channels, groups)
    blocks = conv.weight.detach().unflatten(0, (groups, -1)).unflatten(2, (groups, -1))
    with torch.no_grad():
        layer.weight.copy_(torch.cat([blocks[g, :, g] for g in range(groups)]))
    if conv.bias is not None:
        layer.bias = nn.Parameter(conv.bias.detach().clone())
    return layer
    # END SOLUTION


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
    # BEGIN SOLUTION s5.low_rank_conv
    _check_ungrouped(conv)
    check_int("rank", rank, 1)
    weight = conv.weight.detach().double()
    outputs = _largest_singular_vectors(weight.flatten(1), rank)  # (out, a)
    inputs = _largest_singular_vectors(weight.transpose(0, 1).flatten(1), rank)  # (in, b)
    core = torch.einsum("oihw,oa,ib->abhw", weight, outputs, inputs)
    first = _pointwise(conv.in_channels, inputs.shape[1], conv, bias=False)
    middle = _like(conv, inputs.shape[1], outputs.shape[1])
    last = _pointwise(outputs.shape[1], conv.out_channels, conv, bias=True)
    with torch.no_grad():
        first.weight.copy_(inputs.T[:, :, None, None])
        middle.weight.copy_(core)
        last.weight.copy_(outputs[:, :, None, None])
    return nn.Sequential(first, middle, last)
    # END SOLUTION


def _largest_singular_vectors(matrix: Tensor, rank: int) -> Tensor:
    """(rows, at most rank) left singular vectors of a matrix (rows, columns)."""
    return torch.linalg.svd(matrix, full_matrices=False).U[:, :rank]
