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
    # BEGIN SOLUTION s1.count_parameters
    # nn.Module.parameters() yields every Parameter object once, and no buffers.
    counted = (p for p in model.parameters() if p.requires_grad or not trainable_only)
    return sum(int(torch.count_nonzero(p)) if nonzero_only else p.numel() for p in counted)
    # END SOLUTION


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
    # BEGIN SOLUTION s1.model_bytes
    parameters = dict(model.named_parameters(remove_duplicate=False))  # with all aliases
    if not isinstance(bits, Mapping):
        check_bits("bits", bits)
        bits = dict.fromkeys(parameters, bits)
    if unknown := bits.keys() - parameters.keys():
        raise refuse("bits", "names of parameters", sorted(unknown))
    widths: dict[nn.Parameter, int] = {}  # keyed by identity: aliases meet in one entry
    for name, width in bits.items():
        check_bits(f"bits[{name!r}]", width)
        if widths.setdefault(parameters[name], width) != width:
            raise refuse(f"bits[{name!r}]", "one width per shared parameter", width)
    if missing := [name for name, p in parameters.items() if p not in widths]:
        raise refuse("bits", f"an entry for {missing}", sorted(bits))
    total_bits = sum(p.numel() * width for p, width in widths.items())
    return -(-total_bits // 8)  # ceiling in integers
    # END SOLUTION


def sparsity(model_or_tensor: nn.Module | Tensor) -> float:
    """Return the share of elements that are exactly 0, in 0..1.

    Of a model, the share over all parameters with 2 or more dimensions together, so that biases
    and the scales of norms are left out; a shared parameter counts once. -0.0 is zero. Without
    any element the share is 0.0.

    >>> sparsity(torch.tensor([0.0, -0.0, 1e-12, 5.0]))
    0.5
    """
    # BEGIN SOLUTION s1.sparsity
    if isinstance(model_or_tensor, Tensor):
        tensors = [model_or_tensor]
    else:
        tensors = [p for p in model_or_tensor.parameters() if p.dim() >= 2]
    total = sum(t.numel() for t in tensors)
    nonzero = sum(int(torch.count_nonzero(t)) for t in tensors)
    return (total - nonzero) / total if total else 0.0
    # END SOLUTION


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
    # BEGIN SOLUTION s1.conv2d_macs
    check_int("in_channels", in_channels, 1)
    check_int("out_channels", out_channels, 1)
    check_int("groups", groups, 1)
    if in_channels % groups or out_channels % groups:
        raise refuse("groups", f"a divisor of {in_channels} and {out_channels}", groups)
    # Output size: Dumoulin & Visin, "A guide to convolution arithmetic" (2016), relationship 15.
    kernel_hw = check_pair("kernel", kernel)
    out_h, out_w = (
        (size + 2 * pad - spacing * (k - 1) - 1) // step + 1
        for size, k, step, pad, spacing in zip(
            check_pair("input_hw", input_hw),
            kernel_hw,
            check_pair("stride", stride),
            check_pair("padding", padding, minimum=0),
            check_pair("dilation", dilation),
        )
    )
    if out_h < 1 or out_w < 1:
        raise refuse("input_hw", "at least the kernel's window", input_hw)
    products = in_channels // groups * kernel_hw[0] * kernel_hw[1]  # of one output element
    return out_channels * out_h * out_w * products
    # END SOLUTION


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
    # BEGIN SOLUTION s1.linear_macs
    check_int("in_features", in_features, 1)
    check_int("out_features", out_features, 1)
    check_int("tokens", tokens, 1)
    return in_features * out_features * tokens
    # END SOLUTION


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
    # BEGIN SOLUTION s1.bit_operations
    check_int("macs", macs, 0)
    check_bits("weight_bits", weight_bits)
    check_bits("activation_bits", activation_bits)
    return macs * weight_bits * activation_bits
    # END SOLUTION


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
    # BEGIN SOLUTION s1.profile_layers
    aten = torch.ops.aten
    # Position of the left factor, whose last dimension is the length of each output's sum.
    left_factor = {
        aten.mm: 0, aten.bmm: 0, aten.mv: 0, aten.dot: 0,
        aten.addmm: 1, aten.baddbmm: 1, aten.addmv: 1,
    }  # fmt: skip
    rows: list[LayerCost] = []  # macs of the whole batch until the end
    running: list[int] = []  # rows of the leaf calls that have not returned yet

    def count_products(operator: Any, inputs: tuple[Any, ...], result: Any) -> None:
        if operator is aten.convolution:
            x, weight, transposed = inputs[0], inputs[1], inputs[6]
            # Each output element sums over one filter; transposed, each input element feeds one.
            macs = (x if transposed else result).numel() * weight[0].numel()
        elif operator in left_factor:
            macs = result.numel() * inputs[left_factor[operator]].shape[-1]
        else:
            return
        if running:
            rows[running[-1]] = replace(rows[running[-1]], macs=rows[running[-1]].macs + macs)
        else:
            rows.append(LayerCost("", operator.__name__, 0, macs, tuple(result.shape)))

    def enter(module: nn.Module, _args: Any) -> None:
        running.append(len(rows))
        params = sum(p.numel() for p in module.parameters())
        rows.append(LayerCost(names[module], type(module).__name__, params, 0, ()))

    def leave(_module: nn.Module, _args: Any, output: Any) -> None:
        row = running.pop()
        tensors = (t for t in tree_leaves(output) if isinstance(t, Tensor))
        rows[row] = replace(rows[row], out_shape=tuple(next(tensors, torch.empty(())).shape))

    names = {module: name for name, module in model.named_modules()}
    with ExitStack() as undo:  # what is called back runs in reverse order, whatever happens
        for module in names:
            undo.callback(setattr, module, "training", module.training)
            if not list(module.children()):
                undo.callback(module.register_forward_pre_hook(enter).remove)
                undo.callback(module.register_forward_hook(leave).remove)
        model.eval()
        with torch.no_grad(), _unfused_attention(), OperatorWatch(count_products):
            model(example)
    return [replace(row, macs=row.macs // len(example)) for row in rows]
    # END SOLUTION


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
    # BEGIN SOLUTION s1.peak_activation_bytes
    # PyTorch hands out one UntypedStorage object for all tensors that share memory.
    ignored = {t.untyped_storage() for t in (*model.parameters(), *model.buffers())}
    born: dict[torch.UntypedStorage, int] = {}
    uses: list[set[torch.UntypedStorage]] = []  # by step: what it reads or returns

    def storages(tree: Any) -> set[torch.UntypedStorage]:
        return {t.untyped_storage() for t in tree_leaves(tree) if isinstance(t, Tensor)} - ignored

    def record(_operator: Any, inputs: Any, result: Any) -> None:
        for storage in storages((inputs, result)):
            born.setdefault(storage, len(uses))
        # A tuple's further members (indices, statistics) are in use only when they are read.
        uses.append(storages((inputs, result[:1] if isinstance(result, tuple) else result)))

    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        record("input", (), example)
        with torch.no_grad(), _unfused_attention(), OperatorWatch(record):
            output = model(example)
        record("output", output, ())  # the caller reads it after the last operator
    finally:
        for module, training in modes.items():
            module.training = training
    last_use = {storage: step for step, used in enumerate(uses) for storage in used}
    return max(
        sum(s.nbytes() for s, last in last_use.items() if born[s] <= step <= last)
        for step in range(len(uses))
    )
    # END SOLUTION
