# Generated from solutions/s1_intro/metrics.py by `autograder release`: change it there.
"""Session 1, metrics: how large a network is, and how much it computes.

Counts are exact Python ints: a float32 sum cannot hold every integer above 2**24. A MAC is one
multiplication with its addition; papers that speak of FLOPs count it as two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shared.checks import Pair, check_bits, check_int, check_pair, refuse
from shared.records import LayerCost


def _zeros_for(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """A dummy input: zeros of `input_shape`, dtype and device of the first floating parameter.

    Zeros draw no random numbers, so the global generators stay where they are.
    """
    if not input_shape or min(input_shape) < 1:
        raise refuse("input_shape", "sizes of at least 1", input_shape)
    floating = (p for p in model.parameters() if p.is_floating_point())
    return next(floating, torch.empty(0)).new_zeros(tuple(input_shape))


class OperatorWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types here
    """While active, calls `seen(operator, inputs, result)` after every operator PyTorch runs.

    Operators are what is left below all modules and functions: `nn.Linear`, `F.linear` and
    `x @ w` all end in `aten.mm` or `aten.addmm`, which no hook on modules would tell you.

    - `operator`: e.g. `torch.ops.aten.addmm`; its `__name__` is "addmm";
    - `inputs`: its arguments, positional ones first; for `aten.mm` left and right, for
      `aten.addmm` bias, left and right, for `aten.convolution` input, weight, bias, stride,
      padding, dilation, transposed, output_padding and groups;
    - `result`: a tensor, or a tuple or list of tensors.

    >>> with OperatorWatch(lambda operator, inputs, result: print(operator, result.shape)):
    ...     _ = torch.ones(2, 3).relu() @ torch.ones(3, 4)
    aten.ones torch.Size([2, 3])
    aten.relu torch.Size([2, 3])
    aten.ones torch.Size([3, 4])
    aten.mm torch.Size([2, 4])
    """

    def __init__(self, seen: Callable[[Any, tuple[Any, ...], Any], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.seen = seen

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """PyTorch calls this in place of the operator `func`."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.seen(func.overloadpacket, (*args, *kwargs.values()), result)
        return result


@contextmanager
def _unfused_attention() -> Iterator[None]:
    """Let attention run as its two products and a softmax, not as one operator that hides them."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


# ---- size ----------------------------------------------------------------------------------


def count_parameters(
    model: nn.Module, trainable_only: bool = False, nonzero_only: bool = False
) -> int:
    """Return the number of elements of all parameters of `model`.

    A `Parameter` object that several layers share counts once. Buffers (the running statistics
    of batch norm, pruning masks) are not parameters.

    Args:
        model: any module.
        trainable_only: leave out parameters with `requires_grad=False`.
        nonzero_only: count only elements that differ from 0; -0.0 is zero.

    >>> count_parameters(nn.Linear(3, 4))  # weight 4 * 3, bias 4
    16
    """
    # TODO(s1.count_parameters): your code; the docstring says what it must do
    raise NotImplementedError("s1.count_parameters")


def model_bytes(model: nn.Module, bits: int | Mapping[str, int] = 32) -> int:
    """Return the bytes that the parameters of `model` take at the given bit widths.

    `bits` decides, not the dtype. The bits of the whole model are summed and rounded up to whole
    bytes once, as in a packed file. Shared parameters are stored once; buffers do not count.

    Args:
        model: any module.
        bits: one width for all, or a mapping from every parameter name (as in
            `model.named_parameters()`) to its width. For a shared parameter, one of its names
            is enough. Widths are ints in 1..32.

    Raises:
        ValueError: for any other width, a parameter without one, a name that is not a
            parameter's, or two names of one parameter with different widths.

    >>> model_bytes(nn.Linear(3, 4))  # 16 parameters of 4 bytes
    64
    >>> model_bytes(nn.Linear(3, 3), {"weight": 1, "bias": 4})  # 9 + 12 = 21 bits
    3
    """
    # TODO(s1.model_bytes): your code; the docstring says what it must do
    raise NotImplementedError("s1.model_bytes")


def sparsity(model_or_tensor: nn.Module | Tensor) -> float:
    """Return the share of elements that are exactly 0, in 0..1.

    Of a model, the share over all parameters with 2 or more dimensions together, so that biases
    and the scales of norms are left out; a shared parameter counts once. -0.0 is zero. Without
    any element the share is 0.0.

    >>> sparsity(torch.tensor([0.0, -0.0, 1e-12, 5.0]))
    0.5
    """
    # TODO(s1.sparsity): your code; the docstring says what it must do
    raise NotImplementedError("s1.sparsity")


# ---- operations ----------------------------------------------------------------------------


def conv2d_macs(
    in_channels: int,
    out_channels: int,
    kernel: Pair,
    input_hw: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> int:
    """Return the multiply-accumulates of a 2-d convolution for one sample.

    Every output element is a sum of kernel height * kernel width * in_channels / groups products.
    Products with padded zeros count, the bias does not.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel: kernel size; this and the following are an int or a (height, width) pair.
        input_hw: height and width of the input.
        stride: step of the window, at least 1.
        padding: zeros added on each side, at least 0.
        dilation: spacing of kernel elements, at least 1.
        groups: every output channel sees in_channels / groups input channels.

    Raises:
        ValueError: for anything but ints and pairs of them (no "same"), `groups` that does not
            divide both channel counts, or an output height or width below 1.

    >>> conv2d_macs(1, 8, kernel=3, input_hw=8, padding=1)  # 8 * 8 * 8 outputs of 9 products
    4608
    """
    # TODO(s1.conv2d_macs): your code; the docstring says what it must do
    raise NotImplementedError("s1.conv2d_macs")


def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    """Return the multiply-accumulates of a linear layer for one sample, without the bias.

    Args:
        in_features: length of an input vector.
        out_features: length of an output vector.
        tokens: how many vectors of one sample the layer is applied to, e.g. words or patches.

    Raises:
        ValueError: if one of them is not an int of at least 1.

    >>> linear_macs(3, 4)
    12
    """
    # TODO(s1.linear_macs): your code; the docstring says what it must do
    raise NotImplementedError("s1.linear_macs")


def bit_operations(macs: int, weight_bits: int, activation_bits: int) -> int:
    """Return the bit operations (BOPs) of `macs` products: macs * weight_bits * activation_bits.

    The long multiplication of a w-bit by an a-bit integer takes w * a one-bit products; this is
    the leading term of the count in Baskin et al., "UNIQ" (2018), without the additions.

    Args:
        macs: number of multiply-accumulates, at least 0.
        weight_bits: width of one factor, an int in 1..32.
        activation_bits: width of the other, an int in 1..32.

    Raises:
        ValueError: for values outside these.

    >>> bit_operations(12, 8, 4)
    384
    """
    # TODO(s1.bit_operations): your code; the docstring says what it must do
    raise NotImplementedError("s1.bit_operations")


# ---- a whole network ------------------------------------------------------------------------


def profile_layers(model: nn.Module, input_shape: Sequence[int]) -> list[LayerCost]:
    """Run `model` once on zeros and return what every call of every layer costs.

    One row for every call of a module without children, in the order of the calls, so a module
    that is called twice has two rows:

    - `name`: its first name in `model.named_modules()` ("" if `model` itself is such a module);
    - `kind`: the name of its class, e.g. "Conv2d";
    - `params`: elements of its own parameters, in each of its rows;
    - `macs`: multiply-accumulates of the convolutions and matrix products in the call, for one
      sample (the total divided by the batch size); no bias, norms, activations (nor recurrent
      layers, which this course does not use);
    - `out_shape`: shape of its (first) output tensor, with the batch dimension.

    A product that runs outside such modules (`F.conv2d`, `@`, `torch.einsum`, attention in the
    forward of a larger module) gets a row too, or its MACs would be lost; what stands in the
    other fields of that row is yours to choose. Run the model within `_unfused_attention()`, or
    attention shows no products.

    The run is in eval mode and without gradients. Afterwards no hook of yours is left, the
    owner's hooks are still there, and every submodule has its own training flag back, also when
    forward raises; its exception is passed on.

    Args:
        model: any module that takes one tensor. Parameters and buffers are not changed.
        input_shape: shape of the input, batch first; the dummy input has the dtype and device
            of the first floating parameter (`_zeros_for`).

    Raises:
        ValueError: if `input_shape` is empty or has a size below 1.

    >>> profile_layers(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (2, 3))
    [LayerCost(name='0', kind='Linear', params=16, macs=12, out_shape=(2, 4)),
     LayerCost(name='1', kind='ReLU', params=0, macs=0, out_shape=(2, 4))]
    """
    example = _zeros_for(model, input_shape)
    # TODO(s1.profile_layers): your code; the docstring says what it must do
    raise NotImplementedError("s1.profile_layers")


def peak_activation_bytes(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Return how many bytes of activations an inference of `model` needs at once.

    The network is a sequence of operators: the calls that PyTorch makes below your modules and
    functions, `+` and `torch.cat` included. While an operator runs, memory holds its inputs, its
    outputs, and every earlier tensor that a later operator (or the caller of the model) still
    needs, such as the skip connection of a residual block. The result is the maximum over all
    operators (the working set of Liberis & Lane, "Neural networks on microcontrollers: saving
    memory at inference via operator reordering", 2019).

    - The model's input is one of these tensors, until its last use.
    - A tensor is *needed* until its last use, even if a Python variable keeps it longer.
    - Views (`flatten`, `chunk`, `transpose`) and in-place results share one storage: count the
      storage once.
    - Parameters, buffers (and views of them) and workspaces are excluded. What an operator
      computes besides its result and nobody reads, like the indices of max pooling, is a
      workspace too.
    - Attention counts as its parts, scores included: run within `_unfused_attention()`.
    - Eval mode, no gradients; training flags are restored as in `profile_layers`.

    Args:
        model: any module that takes one tensor.
        input_shape: shape of the input, batch first; the peak is that of the whole batch.

    Raises:
        ValueError: if `input_shape` is empty or has a size below 1.

    >>> peak_activation_bytes(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (1, 3))  # 4 + 4 floats
    32
    """
    example = _zeros_for(model, input_shape)
    # TODO(s1.peak_activation_bytes): your code; the docstring says what it must do
    raise NotImplementedError("s1.peak_activation_bytes")
