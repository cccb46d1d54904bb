"""Parameters, multiply-accumulates and memory of a model: the one place with the conventions.

params      Elements of parameters; a Parameter object that is used twice counts once, buffers do
            not count.
MACs        Multiply-accumulates of convolutions, linear layers and matrix products, attention's
            two products included, for one sample: the operators' total divided by the batch size
            and rounded up. Bias, normalisation, activations, pooling, softmax and elementwise
            products are not MACs. A convolution counts padded positions too, a masked or causal
            attention its whole square. Twice the MACs are what other tools call FLOPs.
activations Bytes of the tensors that an operator reads or writes, and of those that are needed
            later; see `peak_activation_bytes`.
bits        bits of a parameter are summed over the model, then rounded up to bytes once.

A product is counted wherever it happens, in a layer or not, because it is the operators that
are watched, not the layers; `shared.tracing` says how. Hooks of the model run too, on tensors of
the meta device. An operator that is neither a known product nor known to have none is listed in
`ForwardProfile.not_counted`, never counted as zero. The counts agree with the parameters and GMACs
that torchvision publishes for all of its classification models.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.checks import Pair, check_bits, check_int, check_pair
from shared.records import LayerCost
from shared.tracing import Call, Enter, Leave, Trace, record

# ---- parameters ----------------------------------------------------------------------------


def count_parameters(
    model: nn.Module, trainable_only: bool = False, nonzero_only: bool = False
) -> int:
    """Elements of the model's parameters; a shared Parameter counts once, buffers not at all.

    Args:
        model: any module.
        trainable_only: only parameters that require gradients.
        nonzero_only: only elements other than exact zeros.
    """
    chosen = [p for p in model.parameters() if p.requires_grad or not trainable_only]
    return sum(int(p.count_nonzero()) if nonzero_only else p.numel() for p in chosen)


def model_bytes(model: nn.Module, bits: int | Mapping[str, int] = 32) -> int:
    """Bytes to store all parameters, each once, at `bits` bits per element.

    The bits of the whole model are summed, then rounded up to bytes.

    Args:
        model: any module; the dtype of its parameters does not matter.
        bits: one number for all, or a mapping from the name of each parameter to its bits;
            either name of a shared one will do.

    Raises:
        ValueError: bits that are no integer in 1..32, an unknown name, a missing one, or two
            numbers for one shared parameter.
    """
    names = dict(model.named_parameters(remove_duplicate=False))
    if not isinstance(bits, Mapping):
        check_bits("bits", bits)
        bits = dict.fromkeys(names, bits)
    chosen: dict[int, int] = {}
    for name, width in bits.items():
        if name not in names:
            raise ValueError(f"bits: expected names of parameters, got {name!r}")
        check_bits(f"bits[{name!r}]", width)
        if chosen.setdefault(id(names[name]), width) != width:
            raise ValueError(f"bits: expected one number per shared parameter, got {bits!r}")
    total = 0
    for name, parameter in model.named_parameters():
        if id(parameter) not in chosen:
            raise ValueError(f"bits: expected a number for {name!r}, got none")
        total += parameter.numel() * chosen[id(parameter)]
    return -(-total // 8)


def sparsity(model_or_tensor: nn.Module | Tensor) -> float:
    """Share of exact zeros (-0.0 is one), 0.0 if there are no elements.

    Of a model: over its parameters with 2 or more dimensions, each once.
    """
    if isinstance(model_or_tensor, Tensor):
        tensors = [model_or_tensor]
    else:
        tensors = [p for p in model_or_tensor.parameters() if p.dim() >= 2]
    total = sum(t.numel() for t in tensors)
    nonzero = sum(int(t.count_nonzero()) for t in tensors)
    return (total - nonzero) / total if total else 0.0


# ---- formulas ------------------------------------------------------------------------------


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
    """MACs of a 2-d convolution for one sample, without bias.

    out_channels * (in_channels / groups) * kernel_h * kernel_w * out_h * out_w, with
    out = floor((in + 2 padding - dilation (kernel - 1) - 1) / stride) + 1. An int stands for an
    equal pair (height, width).

    Raises:
        ValueError: groups that do not divide both channel counts, an output size below 1, or an
            argument that is not a positive int (padding: not negative).
    """
    channels = (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups))
    for name, count in channels:
        check_int(name, count, minimum=1)
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"groups: expected a divisor of {in_channels} and {out_channels}, got {groups}"
        )
    window = check_pair("kernel", kernel)
    positions = 1
    for size, k, s, p, d in zip(
        check_pair("input_hw", input_hw),
        window,
        check_pair("stride", stride),
        check_pair("padding", padding, minimum=0),
        check_pair("dilation", dilation),
    ):
        out = (size + 2 * p - d * (k - 1) - 1) // s + 1
        if out < 1:
            raise ValueError(f"input_hw: expected room for kernel {kernel}, got {input_hw}")
        positions *= out
    return out_channels * (in_channels // groups) * window[0] * window[1] * positions


def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    """MACs of a linear layer for one sample of `tokens` rows, without bias.

    Raises ValueError unless all three are positive ints.
    """
    sizes = (("in_features", in_features), ("out_features", out_features), ("tokens", tokens))
    for name, size in sizes:
        check_int(name, size, minimum=1)
    return in_features * out_features * tokens


def bit_operations(macs: int, weight_bits: int, activation_bits: int) -> int:
    """macs * weight_bits * activation_bits: the cost of products in single-bit operations.

    Raises ValueError unless macs is a nonnegative int and both widths are ints in 1..32.
    """
    check_int("macs", macs, minimum=0)
    check_bits("weight_bits", weight_bits)
    check_bits("activation_bits", activation_bits)
    return macs * weight_bits * activation_bits


# ---- profile -------------------------------------------------------------------------------


@dataclass(frozen=True)
class ForwardProfile:
    """What one forward pass costs.

    `layers` are described at `profile_layers`. `not_counted` maps the name of each operator that
    is neither a known product nor known to have none to the number of its calls.
    """

    params: int
    layers: tuple[LayerCost, ...]
    not_counted: Mapping[str, int]

    @property
    def macs(self) -> int:
        """MACs of all layers, for one sample."""
        return sum(layer.macs for layer in self.layers)


def profile(model: nn.Module, *inputs: Tensor) -> ForwardProfile:
    """Count model(*inputs); all inputs have the batch first, and meta tensors will do.

    See `profile_layers` for how the model is run, and the module's text for what counts.

    Raises:
        ValueError: there is no input, or the first has no batch dimension or an empty one.
    """
    if not inputs or inputs[0].dim() == 0 or len(inputs[0]) == 0:
        raise ValueError("inputs: expected a tensor with a batch dimension of at least 1")
    trace = record(model, inputs)
    layers = tuple(_layer_costs(trace, batch=len(inputs[0])))
    not_counted = Counter(call.name for call in trace.calls if not call.understood)
    return ForwardProfile(count_parameters(model), layers, dict(not_counted))


def profile_layers(model: nn.Module, input_shape: Sequence[int]) -> list[LayerCost]:
    """Cost of every call of every layer, in call order.

    A layer is a module without children; one that is called twice has two rows. `name` is its
    first name in `named_modules`, `kind` its class, `params` are its own parameters (in each of
    its rows), `macs` are for one sample, `out_shape` has the batch dimension. A product outside
    of all layers has a row of its own: the name of the module whose forward it is in, the
    operator, and the parameters that it reads directly.

    The model runs in eval mode without gradients on zeros of `input_shape`, batch first, with
    dtype and device of its first floating parameter; an exception of its forward is raised here.
    Either way the mode of every submodule is restored and no hook stays.

    Raises:
        ValueError: input_shape is empty or not made of positive ints.
    """
    return list(profile(model, dummy_input(model, input_shape)).layers)


def peak_activation_bytes(model: nn.Module, input_shape: Sequence[int]) -> int:
    """Largest number of bytes of activations that are alive at one operator.

    Alive are the operator's inputs and outputs, and every tensor made earlier that is still
    needed later, the model's input and output included. Views and results in place share the
    storage of their source, which counts once, and whole. Parameters, buffers and workspaces do
    not count; nor does an operator's second output that nothing reads (the indices of max
    pooling). Attention counts as its parts, scores included. The model is run as in
    `profile_layers`, with the same errors.
    """
    return _peak_bytes(record(model, [dummy_input(model, input_shape)]))


def dummy_input(model: nn.Module, input_shape: Sequence[int]) -> Tensor:
    """A meta tensor of `input_shape` with the dtype of the model's first floating parameter."""
    if not input_shape:
        raise ValueError("input_shape: expected at least the batch dimension, got none")
    for size in input_shape:
        check_int("input_shape", size, minimum=1)
    dtypes = (p.dtype for p in model.parameters() if p.is_floating_point())
    return torch.empty(tuple(input_shape), dtype=next(dtypes, torch.float32), device="meta")


# ---- reading a trace -----------------------------------------------------------------------


@dataclass
class _LayerRow:
    """A LayerCost in the making, with the MACs of the whole batch."""

    name: str
    kind: str
    params: int
    macs: int = 0
    out_shape: tuple[int, ...] = ()


def _layer_costs(trace: Trace, batch: int) -> list[LayerCost]:
    """Each product goes to the layer whose forward is running, else it gets a row."""
    rows: list[_LayerRow] = []
    running: list[tuple[str, _LayerRow | None]] = []
    for event in trace.events:
        match event:
            case Enter(name, kind, is_leaf, own_params):
                row = _LayerRow(name, kind, own_params) if is_leaf else None
                rows.extend([row] if row else [])
                running.append((name, row))
            case Leave(out_shape):
                _, row = running.pop()
                if row:
                    row.out_shape = out_shape
            case Call(macs=int(macs)):
                name, row = running[-1] if running else ("", None)
                if row is None:
                    row = _product_row(trace, name, event)
                    rows.append(row)
                row.macs += macs
    return [
        LayerCost(row.name, row.kind, row.params, -(-row.macs // batch), row.out_shape)
        for row in rows
    ]


def _product_row(trace: Trace, module_name: str, product: Call) -> _LayerRow:
    read = {memory.storage for memory in product.reads}
    params = sum(trace.parameters.get(storage, 0) for storage in read)
    return _LayerRow(module_name, product.name, params, out_shape=product.makes[0].shape)


@dataclass
class _Life:
    """The operators, by position, between which a storage is needed, both included."""

    bytes: int
    first: int
    last: int


def _peak_bytes(trace: Trace) -> int:
    """Largest sum of `bytes` over the storages alive at one position."""
    lives = {memory.storage: _Life(memory.bytes, 0, 0) for memory in trace.inputs}
    by_products: set[int] = set()
    for position, call in enumerate(trace.calls):
        read = {memory.storage for memory in call.reads}
        for storage in read & lives.keys():  # others were there before: parameters and buffers
            lives[storage].last = position
        by_products -= read
        for index, memory in enumerate(call.makes):
            if memory.storage not in read | lives.keys():
                lives[memory.storage] = _Life(memory.bytes, position, position)
                if index > 0:
                    by_products.add(memory.storage)
    end = max(len(trace.calls) - 1, 0)
    returned = {memory.storage for memory in trace.outputs}
    for storage in returned & lives.keys():
        lives[storage].last = end
    changes = [0] * (end + 2)
    for storage in lives.keys() - (by_products - returned):
        life = lives[storage]
        changes[life.first] += life.bytes
        changes[life.last + 1] -= life.bytes
    return max(itertools.accumulate(changes))
