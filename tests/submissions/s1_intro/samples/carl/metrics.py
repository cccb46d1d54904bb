"""Carl's answers: mostly right, with mistakes that many students make."""

import torch
from shared.records import LayerCost
from torch import nn


def count_parameters(model, trainable_only=False, nonzero_only=False):
    # Running means and variances end up in here as well.
    trainable = {name: p.requires_grad for name, p in model.named_parameters()}
    total = 0
    for name, tensor in model.state_dict().items():
        if trainable_only and not trainable.get(name, True):
            continue
        if nonzero_only:
            total += int((tensor != 0).sum())
        else:
            total += tensor.numel()
    return total


def model_bytes(model, bits=32):
    names = dict(model.named_parameters(remove_duplicate=False))
    if isinstance(bits, int):
        bits = {name: bits for name, _ in model.named_parameters()}
    elif not set(bits) <= set(names):
        raise ValueError(f"unknown parameter in bits: {bits}")
    chosen = {id(names[name]): width for name, width in bits.items()}
    total = 0
    for name, parameter in model.named_parameters():
        if id(parameter) not in chosen:
            raise ValueError(f"no bits for {name}")
        width = chosen[id(parameter)]
        if not isinstance(width, int) or not 1 <= width <= 32:
            raise ValueError(f"bits must be in 1..32, got {width}")
        total += parameter.numel() * width
    return (total + 7) // 8


def sparsity(model_or_tensor):
    if isinstance(model_or_tensor, torch.Tensor):
        tensors = [model_or_tensor]
    else:
        tensors = [p for p in model_or_tensor.parameters() if p.dim() > 1]
    total = sum(t.numel() for t in tensors)
    if total == 0:
        return 0.0
    return sum(int((t == 0).sum()) for t in tensors) / total


def conv2d_macs(
    in_channels, out_channels, kernel, input_hw, stride=1, padding=0, dilation=1, groups=1
):
    def pair(value):
        return (value, value) if isinstance(value, int) else value

    kh, kw = pair(kernel)
    h, w = pair(input_hw)
    sh, sw = pair(stride)
    ph, pw = pair(padding)
    dh, dw = pair(dilation)
    if in_channels % groups != 0 or out_channels % groups != 0:
        raise ValueError(f"groups does not divide the channels: {groups}")
    out_h = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    out_w = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    if out_h < 1 or out_w < 1:
        raise ValueError(f"input too small: {input_hw}")
    # Counts operations, two for each product, and forgets the groups.
    return 2 * in_channels * out_channels * kh * kw * out_h * out_w


def linear_macs(in_features, out_features, tokens=1):
    if in_features < 1 or out_features < 1 or tokens < 1:
        raise ValueError(f"sizes must be positive: {in_features}, {out_features}, {tokens}")
    return in_features * out_features * tokens


def profile_layers(model, input_shape):
    # Only layers are seen, a second call overwrites the first one, and nothing is cleaned up.
    rows = {}

    def make_hook(name):
        def hook(module, inputs, output):
            params = sum(p.numel() for p in module.parameters())
            macs = 0
            if isinstance(module, nn.Conv2d):
                macs = module.weight.numel() * output.shape[2] * output.shape[3]
            if isinstance(module, nn.Linear):
                macs = module.weight.numel() * (output.numel() // output.shape[0])
                macs = macs // module.out_features
            kind = module.__class__.__name__
            rows[name] = LayerCost(name, kind, params, macs, tuple(output.shape))

        return hook

    for name, module in model.named_modules():
        if len(list(module.children())) == 0:
            module.register_forward_hook(make_hook(name))
    model.eval()
    with torch.no_grad():
        model(torch.randn(*input_shape))
    return list(rows.values())


def bit_operations(macs, weight_bits, activation_bits):
    if macs < 0:
        raise ValueError(f"macs must not be negative: {macs}")
    for bits in (weight_bits, activation_bits):
        if not isinstance(bits, int) or not 1 <= bits <= 32:
            raise ValueError(f"bits must be in 1..32: {bits}")
    return macs * weight_bits * activation_bits


def peak_activation_bytes(model, input_shape):
    # Looks at one layer at a time, so a skip connection that waits is not seen.
    sizes = [0]

    def hook(module, inputs, output):
        sizes.append(4 * (inputs[0].numel() + output.numel()))

    handles = []
    for module in model.modules():
        if len(list(module.children())) == 0:
            handles.append(module.register_forward_hook(hook))
    model.eval()
    with torch.no_grad():
        model(torch.zeros(*input_shape))
    for handle in handles:
        handle.remove()
    return max(sizes)
