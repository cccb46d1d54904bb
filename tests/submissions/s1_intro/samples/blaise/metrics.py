"""Counting with NumPy: arrays of sizes, index intervals and cumulative sums."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from shared.records import LayerCost
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def _require(condition: bool, argument: str, value: object) -> None:
    if not condition:
        raise ValueError(f"bad {argument}: {value!r}")


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_width(value: object) -> bool:
    return _is_int(value) and 1 <= value <= 32


def _pair(value: object, argument: str, least: int) -> np.ndarray:
    items = value if isinstance(value, tuple | list) else (value, value)
    _require(len(items) == 2 and all(_is_int(v) and v >= least for v in items), argument, value)
    return np.array(items, dtype=object)  # Python ints inside: no overflow


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def count_parameters(model, trainable_only=False, nonzero_only=False):
    chosen = [p for p in model.parameters() if p.requires_grad or not trainable_only]
    if nonzero_only:
        return sum(int(np.count_nonzero(_numpy(p))) for p in chosen)
    return sum(math.prod(p.shape) for p in chosen)


def model_bytes(model, bits=32):
    unique = {}  # first name -> parameter
    first = {}  # any name -> first name
    owner = {}  # id of the parameter -> first name
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first[name] = owner.setdefault(id(parameter), name)
        unique[first[name]] = parameter

    if isinstance(bits, Mapping):
        _require(set(bits) <= set(first), "bits (unknown name)", sorted(set(bits) - set(first)))
        widths = {first[name]: width for name, width in bits.items()}
        _require(
            set(widths) == set(unique), "bits (missing name)", sorted(set(unique) - set(widths))
        )
    else:
        _require(_is_width(bits), "bits", bits)
        widths = dict.fromkeys(unique, bits)
    for name, width in widths.items():
        _require(_is_width(width), f"bits of {name}", width)

    numel = np.array([unique[name].numel() for name in widths], dtype=object)
    total = int(numel @ np.array([int(w) for w in widths.values()], dtype=object)) if widths else 0
    return (total + 7) // 8


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, torch.Tensor):
        arrays = [_numpy(model_or_tensor)]
    else:
        arrays = [_numpy(p) for p in model_or_tensor.parameters() if p.ndim >= 2]
    size = sum(array.size for array in arrays)
    zeros = size - sum(int(np.count_nonzero(array)) for array in arrays)
    return zeros / size if size else 0.0


def conv2d_macs(
    in_channels, out_channels, kernel, input_hw, stride=1, padding=0, dilation=1, groups=1
):
    for argument, value in (
        ("in_channels", in_channels),
        ("out_channels", out_channels),
        ("groups", groups),
    ):
        _require(_is_int(value) and value >= 1, argument, value)
    _require(in_channels % groups == 0 and out_channels % groups == 0, "groups", groups)
    kernel = _pair(kernel, "kernel", 1)
    size = _pair(input_hw, "input_hw", 1)
    stride = _pair(stride, "stride", 1)
    padding = _pair(padding, "padding", 0)
    dilation = _pair(dilation, "dilation", 1)
    output = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    _require(bool((output >= 1).all()), "input_hw (output below 1)", input_hw)
    return int(output.prod() * kernel.prod() * out_channels * (in_channels // groups))


def linear_macs(in_features, out_features, tokens=1):
    for argument, value in (
        ("in_features", in_features),
        ("out_features", out_features),
        ("tokens", tokens),
    ):
        _require(_is_int(value) and value >= 1, argument, value)
    return math.prod(map(int, (in_features, out_features, tokens)))


def bit_operations(macs, weight_bits, activation_bits):
    _require(_is_int(macs) and macs >= 0, "macs", macs)
    _require(_is_width(weight_bits), "weight_bits", weight_bits)
    _require(_is_width(activation_bits), "activation_bits", activation_bits)
    return int(macs) * int(weight_bits) * int(activation_bits)


# ---- running a model without leaving a trace -----------------------------------------------


@contextmanager
def _quietly(model) -> Iterator[None]:
    """Eval mode and no gradients; all of it undone at the end."""
    modules = list(model.modules())
    modes = np.array([module.training for module in modules])
    try:
        model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes.tolist(), strict=True):
            module.training = mode


def _zeros_like_first(model, input_shape):
    shape = tuple(input_shape)
    _require(len(shape) > 0 and all(_is_int(s) and s > 0 for s in shape), "input_shape", shape)
    floating = [p for p in model.parameters() if p.is_floating_point()]
    like = floating[0] if floating else torch.empty(0)
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


class _Tape(TorchDispatchMode):
    """The operators in order, each with the tensors that went in and came out."""

    def __init__(self):
        super().__init__()
        self.operators = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.operators.append((func.overloadpacket.__name__, args, kwargs, result))
        return result


def _tensors(*values):
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


# ---- cost of each layer --------------------------------------------------------------------


@contextmanager
def _unfused_attention() -> Iterator[None]:
    """Attention as separate matrix products, which the tape can see."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _multiplications(operator, args, result):
    if operator == "convolution":
        transposed = args[6]
        grid = args[0] if transposed else result
        return grid.numel() * math.prod(args[1].shape[1:])
    if operator in {"mm", "mv", "bmm", "dot"}:
        return result.numel() * args[0].shape[-1]
    if operator in {"addmm", "addmv", "baddbmm"}:
        return result.numel() * args[1].shape[-1]
    if operator == "addbmm":
        return args[1].numel() * result.shape[-1]
    if operator == "mkldnn_rnn_layer":
        return math.prod(args[0].shape[:2]) * (args[1].numel() + args[2].numel())
    return 0


@contextmanager
def _observed(layers, tape, calls) -> Iterator[None]:
    """Replace each layer's `forward` by one that notes the tape's position around the call."""

    def observe(name, layer):
        original = layer.forward

        def forward(*args, **kwargs):
            call = {"name": name, "layer": layer, "start": len(tape.operators)}
            calls.append(call)
            output = original(*args, **kwargs)
            call["stop"] = len(tape.operators)
            call["shape"] = tuple(_tensors(output)[0].shape) if _tensors(output) else ()
            return output

        layer.forward = forward

    replaced = [(layer, layer.__dict__.get("forward")) for _, layer in layers]
    try:
        for name, layer in layers:
            observe(name, layer)
        yield
    finally:
        for layer, forward in replaced:
            layer.__dict__.pop("forward", None)
            if forward is not None:
                layer.forward = forward


def profile_layers(model, input_shape):
    inputs = _zeros_like_first(model, input_shape)
    layers = [pair for pair in model.named_modules() if not list(pair[1].children())]
    tape, calls = _Tape(), []
    with _quietly(model), _unfused_attention(), _observed(layers, tape, calls), tape:
        model(inputs)

    products = [_multiplications(name, args, out) for name, args, _, out in tape.operators]
    before = np.concatenate([[0], np.cumsum(products, dtype=np.int64)])
    inside = np.zeros(len(products), dtype=bool)

    rows = []  # (position on the tape, order among equals, row)
    for order, call in enumerate(calls):
        layer = call["layer"]
        inside[call["start"] : call["stop"]] = True
        macs = int(before[call["stop"]] - before[call["start"]]) // inputs.shape[0]
        params = sum(p.numel() for p in layer.parameters())
        row = LayerCost(call["name"], type(layer).__name__, params, macs, call["shape"])
        rows.append((call["start"], order, row))
    for position in np.flatnonzero((np.array(products, dtype=np.int64) > 0) & ~inside):
        operator, _, _, out = tape.operators[position]
        macs = products[position] // inputs.shape[0]
        row = LayerCost("", operator, 0, macs, tuple(_tensors(out)[0].shape))
        rows.append((int(position), len(calls), row))
    return [row for _, _, row in sorted(rows, key=lambda entry: entry[:2])]


# ---- live memory ---------------------------------------------------------------------------


def peak_activation_bytes(model, input_shape):
    """A storage lives from its first to its last use; the peak is that of a running sum."""
    inputs = _zeros_like_first(model, input_shape)
    tape = _Tape()
    with _quietly(model), tape:
        result = model(inputs)

    fixed = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    size, born, dies = {}, {}, {}

    def use(tensor, moment):
        key = tensor.untyped_storage().data_ptr()
        if key not in fixed:
            size[key] = tensor.untyped_storage().nbytes()
            born.setdefault(key, moment)
            dies[key] = moment

    extra = []  # outputs after an operator's first: workspaces unless something reads them
    use(inputs, 0)
    for moment, (_, args, kwargs, out) in enumerate(tape.operators):
        for tensor in _tensors(args, kwargs) + _tensors(out)[:1]:
            use(tensor, moment)
        extra += [(tensor, moment) for tensor in _tensors(out)[1:]]
    for tensor in _tensors(result):
        use(tensor, max(len(tape.operators) - 1, 0))
    for tensor, moment in extra:
        key = tensor.untyped_storage().data_ptr()
        if key in born:
            born[key] = min(born[key], moment)

    change = np.zeros(len(tape.operators) + 2, dtype=np.int64)
    for key, nbytes in size.items():
        change[born[key]] += nbytes
        change[dies[key] + 1] -= nbytes
    return int(np.cumsum(change).max())
