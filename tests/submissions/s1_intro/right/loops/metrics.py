"""Counting parameters, bytes, multiplications and live memory, with plain loops."""

from collections.abc import Mapping
from typing import Any

import torch
from shared.records import LayerCost
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode


def _whole_number(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
    return value


def _bit_width(value: Any, name: str) -> int:
    if _whole_number(value, name, 1) > 32:
        raise ValueError(f"{name} must be at most 32, got {value!r}")
    return value


def _two(value: Any, name: str, least: int) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{name} must be an int or a pair, got {value!r}")
        first, second = value
    else:
        first = second = value
    return _whole_number(first, name, least), _whole_number(second, name, least)


def count_parameters(
    model: nn.Module, trainable_only: bool = False, nonzero_only: bool = False
) -> int:
    seen = []
    total = 0
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            known = False
            for other in seen:
                if other is parameter:
                    known = True
            if known:
                continue
            seen.append(parameter)
            if trainable_only and not parameter.requires_grad:
                continue
            if nonzero_only:
                total += int((parameter.detach() != 0).sum())
            else:
                total += parameter.numel()
    return total


def model_bytes(model: nn.Module, bits: int | Mapping[str, int] = 32) -> int:
    names_of = []  # pairs (parameter, all names that it goes by)
    for name, parameter in model.named_parameters(remove_duplicate=False):
        for other, names in names_of:
            if other is parameter:
                names.append(name)
                break
        else:
            names_of.append((parameter, [name]))

    if not isinstance(bits, Mapping):
        width = _bit_width(bits, "bits")
        total = 0
        for parameter, _ in names_of:
            total += parameter.numel() * width
        return -(-total // 8)

    for name, width in bits.items():
        _bit_width(width, f"bits[{name!r}]")
        for _, names in names_of:
            if name in names:
                break
        else:
            raise ValueError(f"bits names {name!r}, which is no parameter of the model")

    total = 0
    for parameter, names in names_of:
        for name in names:
            if name in bits:
                total += parameter.numel() * bits[name]
                break
        else:
            raise ValueError(f"bits has no entry for parameter {names[0]!r}")
    return -(-total // 8)


def sparsity(model_or_tensor: nn.Module | Tensor) -> float:
    if isinstance(model_or_tensor, nn.Module):
        tensors = []
        for parameter in model_or_tensor.parameters():
            if parameter.dim() >= 2:
                tensors.append(parameter)
    else:
        tensors = [model_or_tensor]
    zeros = 0
    elements = 0
    for tensor in tensors:
        zeros += int((tensor.detach() == 0).sum())
        elements += tensor.numel()
    if elements == 0:
        return 0.0
    return zeros / elements


def conv2d_macs(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int],
    input_hw: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
) -> int:
    _whole_number(in_channels, "in_channels", 1)
    _whole_number(out_channels, "out_channels", 1)
    _whole_number(groups, "groups", 1)
    if in_channels % groups != 0 or out_channels % groups != 0:
        raise ValueError(
            f"groups must divide {in_channels} input and {out_channels} output channels, "
            f"got {groups}"
        )
    kernels = _two(kernel, "kernel", 1)
    sizes = _two(input_hw, "input_hw", 1)
    strides = _two(stride, "stride", 1)
    paddings = _two(padding, "padding", 0)
    dilations = _two(dilation, "dilation", 1)

    macs = out_channels * (in_channels // groups)
    for axis in (0, 1):
        window = dilations[axis] * (kernels[axis] - 1) + 1
        padded = sizes[axis] + 2 * paddings[axis]
        positions = len(range(0, padded - window + 1, strides[axis]))
        if positions == 0:
            raise ValueError(f"input_hw {input_hw!r} is too small for kernel {kernel!r}")
        macs = macs * kernels[axis] * positions
    return macs


def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    _whole_number(in_features, "in_features", 1)
    _whole_number(out_features, "out_features", 1)
    _whole_number(tokens, "tokens", 1)
    return in_features * out_features * tokens


def bit_operations(macs: int, weight_bits: int, activation_bits: int) -> int:
    _whole_number(macs, "macs", 0)
    _bit_width(weight_bits, "weight_bits")
    _bit_width(activation_bits, "activation_bits")
    return macs * weight_bits * activation_bits


def _check_shape(input_shape: Any) -> tuple[int, ...]:
    shape = tuple(input_shape)
    if len(shape) == 0:
        raise ValueError(f"input_shape must start with the batch, got {input_shape!r}")
    for size in shape:
        _whole_number(size, "input_shape", 1)
    return shape


def _dummy(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return torch.zeros(shape, dtype=parameter.dtype, device=parameter.device)
    return torch.zeros(shape)


def _run_for_measurement(model: nn.Module, inputs: Tensor, mode: TorchDispatchMode) -> Any:
    """Forward in eval mode without gradients; every training flag is put back."""
    flags = []
    for module in model.modules():
        flags.append((module, module.training))
    try:
        model.eval()
        with torch.no_grad(), mode:
            return model(inputs)
    finally:
        for module, flag in flags:
            module.training = flag


def _tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    found = []
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            found.extend(_tensors_in(item))
    return found


def _products(operator: str, args: tuple[Any, ...], output: Any) -> int:
    """Multiplications of one operator of PyTorch's dispatcher, for the whole batch."""
    if operator == "convolution":
        inputs, weight, transposed = args[0], args[1], args[6]
        moved = inputs if transposed else output
        return moved.numel() * (weight.numel() // weight.shape[0])
    if operator in ("mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv"):
        left = args[-2]
        return output.numel() * left.shape[-1]
    if operator == "addbmm":
        left = args[-2]
        return left.numel() * output.shape[-1]
    if operator == "mkldnn_rnn_layer":
        steps, batch = args[0].shape[:2]
        return steps * batch * (args[1].numel() + args[2].numel())
    return 0


class _ProductCounter(TorchDispatchMode):
    """Adds the products to the row of the layer that is running, or gives them their own."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.running: list[dict[str, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        output = func(*args, **(kwargs or {}))
        operator = func.overloadpacket.__name__
        products = _products(operator, args, output)
        if products and self.running:
            self.running[-1]["macs"] += products
        elif products:
            shape = tuple(_tensors_in(output)[0].shape)
            self.rows.append(
                {"name": "", "kind": operator, "params": 0, "macs": products, "shape": shape}
            )
        return output


def profile_layers(model: nn.Module, input_shape: tuple[int, ...]) -> list[LayerCost]:
    shape = _check_shape(input_shape)
    counter = _ProductCounter()
    handles = []

    def watch(name: str, layer: nn.Module) -> None:
        own = 0
        for parameter in layer.parameters():
            own += parameter.numel()

        def before(module: nn.Module, args: Any) -> None:
            row = {"name": name, "kind": type(layer).__name__, "params": own}
            row.update(macs=0, shape=())
            counter.rows.append(row)
            counter.running.append(row)

        def after(module: nn.Module, args: Any, output: Any) -> None:
            row = counter.running.pop()
            for tensor in _tensors_in(output)[:1]:
                row["shape"] = tuple(tensor.shape)

        handles.append(layer.register_forward_pre_hook(before))
        handles.append(layer.register_forward_hook(after))

    fast_attention = torch.backends.mha.get_fastpath_enabled()
    try:
        for name, module in model.named_modules():
            if len(list(module.children())) == 0:
                watch(name, module)
        # The fused attention kernels would hide their matrix products from the dispatcher.
        torch.backends.mha.set_fastpath_enabled(False)
        with sdpa_kernel(SDPBackend.MATH):
            _run_for_measurement(model, _dummy(model, shape), counter)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
        for handle in handles:
            handle.remove()

    result = []
    for row in counter.rows:
        macs = row["macs"] // shape[0]
        result.append(LayerCost(row["name"], row["kind"], row["params"], macs, row["shape"]))
    return result


class _Trace(TorchDispatchMode):
    """Writes down which storages each operator reads and writes."""

    def __init__(self, constants: list[Tensor]) -> None:
        super().__init__()
        self.steps: list[tuple[list[int], list[int]]] = []
        self.sizes: dict[int, int] = {}
        self.kept: list[Tensor] = []  # alive until the end, so that no address is used again
        self.constant = set()
        for tensor in constants:
            self.constant.add(tensor.untyped_storage().data_ptr())

    def storages(self, value: Any) -> list[int]:
        keys = []
        for tensor in _tensors_in(value):
            key = tensor.untyped_storage().data_ptr()
            if key not in self.constant:
                self.kept.append(tensor)
                self.sizes[key] = tensor.untyped_storage().nbytes()
                keys.append(key)
        return keys

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        output = func(*args, **(kwargs or {}))
        self.steps.append((self.storages([args, kwargs or {}]), self.storages(output)))
        return output


def peak_activation_bytes(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    shape = _check_shape(input_shape)
    trace = _Trace([*model.parameters(), *model.buffers()])
    inputs = _dummy(model, shape)
    source = trace.storages(inputs)
    result = trace.storages(_run_for_measurement(model, inputs, trace))

    # The model's input is there before the first operator, its output is needed after the last.
    steps = [([], source), *trace.steps, (result, [])]
    peak = 0
    for now in range(1, len(steps)):
        reads, writes = steps[now]
        needed_later = set()
        for later_reads, _ in steps[now + 1 :]:
            needed_later.update(later_reads)
        exists = set()
        for _, earlier_writes in steps[:now]:
            exists.update(earlier_writes)

        live = set(reads) | (exists & needed_later)
        for position, key in enumerate(writes):
            # A second output that nothing reads (the indices of max pooling) is a workspace.
            if position == 0 or key in needed_later:
                live.add(key)
        size = 0
        for key in live:
            size += trace.sizes[key]
        peak = max(peak, size)
    return peak
