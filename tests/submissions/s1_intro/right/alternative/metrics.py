"""Counting by other roads: global hooks, a function mode, a backward pass over a tape.

Records are returned as plain tuples (name, kind, params, macs, out_shape).
"""

import operator
from contextlib import ExitStack, contextmanager
from functools import reduce

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def product(numbers):
    return reduce(operator.mul, numbers, 1)


def ceil_div(a, b):
    return -(-a // b)


def positive(**arguments):
    for name, value in arguments.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def width(value, name):
    positive(**{name: value})
    if value > 32:
        raise ValueError(f"{name} must be in 1..32, got {value!r}")
    return value


# ---- parameters ----------------------------------------------------------------------------


def count_parameters(model, trainable_only=False, nonzero_only=False):
    unique = {id(p): p for m in model.modules() for p in m._parameters.values() if p is not None}
    measure = (lambda p: p.count_nonzero().item()) if nonzero_only else torch.numel
    return sum(measure(p) for p in unique.values() if p.requires_grad >= trainable_only)


def model_bytes(model, bits=32):
    named = list(model.named_parameters(remove_duplicate=False))
    if not hasattr(bits, "items"):
        width(bits, "bits")
        return ceil_div(bits * sum(p.numel() for p in model.parameters()), 8)
    by_name = dict(named)
    chosen = {}
    for name, value in bits.items():
        if name not in by_name:
            raise ValueError(f"bits: the model has no parameter {name!r}")
        chosen[id(by_name[name])] = width(value, name)
    for name, parameter in named:
        if id(parameter) not in chosen:
            raise ValueError(f"bits: no entry for {name!r}")
    return ceil_div(sum(p.numel() * chosen[id(p)] for p in model.parameters()), 8)


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, nn.Module):
        tensors = [p for p in model_or_tensor.parameters() if p.dim() > 1]
    else:
        tensors = [model_or_tensor]
    elements = sum(t.numel() for t in tensors)
    nonzeros = sum(len(t.detach().nonzero()) for t in tensors if t.dim() > 0)
    nonzeros += sum(int(t.item() != 0) for t in tensors if t.dim() == 0)
    return (elements - nonzeros) / elements if elements else 0.0


# ---- closed formulas -----------------------------------------------------------------------


def conv2d_macs(
    in_channels, out_channels, kernel, input_hw, stride=1, padding=0, dilation=1, groups=1
):
    """The output size is that of PyTorch's own convolution, run on tensors without data."""

    def pair(value, name, least):
        both = (value, value) if type(value) is int else value
        if not isinstance(both, list | tuple) or len(both) != 2:
            raise ValueError(f"{name} must be an int or a pair, got {value!r}")
        for item in both:
            if type(item) is not int or item < least:
                raise ValueError(f"{name} must be at least {least}, got {value!r}")
        return tuple(both)

    positive(in_channels=in_channels, out_channels=out_channels, groups=groups)
    if in_channels % groups or out_channels % groups:
        raise ValueError(f"groups must divide both channel counts, got {groups}")
    weight_shape = (out_channels, in_channels // groups, *pair(kernel, "kernel", 1))
    image_shape = (1, in_channels, *pair(input_hw, "input_hw", 1))
    geometry = {
        "stride": pair(stride, "stride", 1),
        "padding": pair(padding, "padding", 0),
        "dilation": pair(dilation, "dilation", 1),
    }
    image = torch.empty(image_shape, device="meta")
    weight = torch.empty(weight_shape, device="meta")
    try:
        output = nn.functional.conv2d(image, weight, groups=groups, **geometry)
    except RuntimeError as error:
        raise ValueError(f"input_hw {input_hw!r} gives no output: {error}") from None
    if output.numel() == 0:
        raise ValueError(f"input_hw {input_hw!r} gives no output")
    return product(output.shape) * product(weight_shape[1:])


def linear_macs(in_features, out_features, tokens=1):
    positive(in_features=in_features, out_features=out_features, tokens=tokens)
    return tokens * in_features * out_features


def bit_operations(macs, weight_bits, activation_bits):
    if type(macs) is not int or macs < 0:
        raise ValueError(f"macs must be a count, got {macs!r}")
    return macs * width(weight_bits, "weight_bits") * width(activation_bits, "activation_bits")


# ---- measuring a run -----------------------------------------------------------------------


def example(model, input_shape):
    shape = list(input_shape)
    if not shape:
        raise ValueError(f"input_shape must have a batch dimension, got {input_shape!r}")
    positive(**{f"input_shape[{i}]": size for i, size in enumerate(shape)})
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(()))
    return torch.zeros(shape, dtype=like.dtype, device=like.device)


@contextmanager
def inference(model):
    was_training = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        for module in was_training:
            module.training = False
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, flag in was_training.items():
            module.training = flag


def leaves_of(tree):
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        yield from leaves_of(list(tree.values()))
    elif isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves_of(branch)


def attention_products(query, key, value, *_):
    scores = product(query.shape[:-1]) * key.shape[-2]
    return scores * (query.shape[-1] + value.shape[-1])


# What PyTorch's own table of operators, which counts two operations a product, leaves out.
EXTRA = {
    "mv": lambda matrix, _: matrix.numel(),
    "dot": lambda left, _: left.numel(),
    "addmv": lambda _, matrix, __: matrix.numel(),
    "addbmm": lambda _, left, right: left.numel() * right.shape[-1],
    "_scaled_dot_product_flash_attention_for_cpu": attention_products,
    "mkldnn_rnn_layer": lambda x, w, u, *_: product(x.shape[:2]) * (w.numel() + u.numel()),
}


class Ledger(TorchDispatchMode):
    """Rows [name, kind, params, macs, shape]; products go to the innermost open layer."""

    def __init__(self, names):
        super().__init__()
        self.names = names
        self.rows = []
        self.open = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        packet = func.overloadpacket
        macs = 0
        if packet in flop_registry:
            macs = flop_registry[packet](*args, **kwargs, out_val=result) // 2
        elif packet.__name__ in EXTRA:
            macs = EXTRA[packet.__name__](*args)
        if macs and self.open:
            self.open[-1][3] += macs
        elif macs:
            shape = tuple(next(leaves_of(result)).shape)
            self.rows.append(["", packet.__name__, 0, macs, shape])
        return result

    def enter(self, module, args):
        if module in self.names:
            params = sum(p.numel() for p in module.parameters())
            row = [self.names[module], type(module).__name__, params, 0, ()]
            self.rows.append(row)
            self.open.append(row)

    def leave(self, module, args, output):
        if module in self.names:
            row = self.open.pop()
            row[4] = next((tuple(t.shape) for t in leaves_of(output)), ())


def profile_layers(model, input_shape):
    inputs = example(model, input_shape)
    leaf_names = {m: name for name, m in model.named_modules() if next(m.children(), None) is None}
    ledger = Ledger(leaf_names)
    with ExitStack() as stack:
        stack.callback(register_module_forward_pre_hook(ledger.enter).remove)
        stack.callback(register_module_forward_hook(ledger.leave).remove)
        stack.enter_context(inference(model))
        stack.enter_context(ledger)
        model(inputs)
    batch = inputs.shape[0]
    return [
        (name, kind, params, macs // batch, shape)
        for name, kind, params, macs, shape in ledger.rows
    ]


class Tape(TorchFunctionMode):
    """Every call of a torch function that returns tensors: (what it read, what it made)."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        made = list(leaves_of(result))
        if made:  # asking for a shape or a dtype computes nothing
            self.calls.append((list(leaves_of([args, kwargs])), made))
        return result


def peak_activation_bytes(model, input_shape):
    """Liveness analysis as in a compiler: walk the tape backwards with the set of needed data."""
    inputs = example(model, input_shape)
    tape = Tape()
    with inference(model), tape:
        result = model(inputs)

    fixed = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}

    def storages(tensors):
        found = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return {key: nbytes for key, nbytes in found.items() if key not in fixed}

    needed = storages(leaves_of(result))
    peak = sum(needed.values())
    for read, made in reversed(tape.calls):
        read, made = storages(read), storages(made)
        peak = max(peak, sum((needed | read | made).values()))
        needed = {key: size for key, size in needed.items() if key not in made} | read
    return peak
