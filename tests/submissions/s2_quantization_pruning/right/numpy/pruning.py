"""Pruning with NumPy: stable sorts, fancy indexing, and one network trained in NumPy alone."""

import copy
import itertools

import numpy as np
import torch
from shared.data import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


def _share(value, name):
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} must be in [0, 1], got {value}")
    return float(value)


def _array(tensor):
    """A float64 copy, which holds every value of a shorter float exactly."""
    return tensor.detach().cpu().double().numpy().copy()


def _keep(magnitudes, sparsity):
    """A boolean array (n,): False for the round(sparsity * n) smallest, first come first."""
    keep = np.ones(magnitudes.size, dtype=bool)
    count = round(sparsity * magnitudes.size)
    keep[np.argsort(magnitudes, axis=None, kind="stable")[:count]] = False
    return keep


def _tensor(flags, like):
    return torch.from_numpy(flags.reshape(tuple(like.shape)).copy()).to(like.device)


def magnitude_mask(weight, sparsity):
    sparsity = _share(sparsity, "sparsity")
    return _tensor(_keep(np.abs(_array(weight)), sparsity), weight)


def global_masks(weights, sparsity):
    sparsity = _share(sparsity, "sparsity")
    if not weights:
        return {}
    flat = [np.abs(_array(weight)).ravel() for weight in weights.values()]
    keep = _keep(np.concatenate(flat), sparsity)
    parts = np.split(keep, np.cumsum([part.size for part in flat])[:-1])
    return {name: _tensor(part, weights[name]) for name, part in zip(weights, parts, strict=True)}


def nm_mask(weight, n, m):
    if n < 1 or n > m:
        raise ValueError(f"n must be in 1..m = {m}, got {n}")
    if weight.ndim < 2 or weight.shape[1] % m != 0:
        raise ValueError(f"weight must have a multiple of {m} inputs, got {tuple(weight.shape)}")
    magnitudes = np.moveaxis(np.abs(_array(weight)), 1, -1)  # (out, ..., in)
    blocks = magnitudes.reshape(*magnitudes.shape[:-1], -1, m)
    order = np.argsort(blocks, axis=-1, kind="stable")
    keep = np.ones(blocks.shape, dtype=bool)
    np.put_along_axis(keep, order[..., : m - n], False, axis=-1)
    return _tensor(np.moveaxis(keep.reshape(magnitudes.shape), -1, 1), weight)


def _named(model, masks):
    parameters = dict(model.named_parameters())
    unknown = sorted(set(masks) - set(parameters))
    if unknown:
        raise ValueError(f"masks must name parameters of the model, got {unknown}")
    for name, mask in masks.items():
        if tuple(mask.shape) != tuple(parameters[name].shape):
            raise ValueError(f"mask of {name} must have its shape, got {tuple(mask.shape)}")
    return [(parameters[name], np.asarray(mask.cpu(), dtype=bool)) for name, mask in masks.items()]


def _zero(pairs):
    for parameter, keep in pairs:
        if parameter.device.type == "cpu" and parameter.dtype != torch.bfloat16:
            parameter.detach().numpy()[~keep] = 0  # the array shares the parameter's memory
        else:
            parameter.data[torch.from_numpy(~keep).to(parameter.device)] = 0


def apply_masks(model, masks):
    _zero(_named(model, masks))
    return model


def masked_step(optimizer, model, masks):
    pairs = _named(model, masks)
    optimizer.step()
    _zero(pairs)


def cubic_sparsity(step, start, steps, interval, initial, final):
    """Piecewise constant: a new value each `interval` steps, the times of the paper."""
    initial, final = _share(initial, "initial"), _share(final, "final")
    if not (steps > 0 and interval > 0):
        raise ValueError(f"steps and interval must be positive, got {steps} and {interval}")
    done = np.clip(np.floor_divide(step - start, interval), 0, steps)
    return float(final + (initial - final) * np.power(1.0 - done / steps, 3))


def _prunable(model):
    owners = [
        (f"{name}.weight".lstrip("."), module.weight)
        for name, module in model.named_modules()
        if isinstance(module, PRUNABLE)
    ]
    _, first = np.unique([id(weight) for _, weight in owners], return_index=True)
    return dict(owners[position] for position in np.sort(first))


def gradual_prune(
    model,
    loader,
    schedule,
    steps,
    loss_fn=cross_entropy,
    lr=0.05,
    momentum=0.9,
    weight_decay=0.0,
):
    """Global pruning; all batches are collected first and gone through in their order."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    with torch.random.fork_rng(devices=[]):
        batches = list(loader)
        if not batches:
            raise ValueError("loader must hold a batch, got none")
        network = copy.deepcopy(model).train()
        optimizer = torch.optim.SGD(
            network.parameters(), lr, momentum=momentum, weight_decay=weight_decay
        )
        weights = _prunable(network)
        for step, (inputs, targets) in zip(range(steps), itertools.cycle(batches)):
            masks = global_masks(weights, schedule(step))
            apply_masks(network, masks)
            loss = loss_fn(network(inputs), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            masked_step(optimizer, network, masks)
    return network, masks


def compare_large_sparse_small_dense(large=64, small=(8, 16), epochs=10, seed=0):
    """All parameters count, biases too; the large network's biases are kept."""
    widths = np.asarray(small, dtype=int)
    if widths.size == 0 or widths.min() < 1 or widths.max() >= large:
        raise ValueError(f"small must hold widths in 1..{large - 1}, got {small}")
    data = load_digits()
    train, test = data.train, data.test
    rows = []
    for width in widths.tolist():
        dense = _train(train, width, None, epochs, seed)
        budget = sum(array.size for array in dense)
        sparse = _train(train, large, budget, epochs, seed)
        rows.append(_row(f"dense-{width}", dense, test))
        rows.append(_row(f"sparse-{large}-like-{width}", sparse, test))
    return rows


def _inputs(split):
    return (split.images.numpy().reshape(len(split), -1) / 16.0 - 0.306) / 0.377


def _train(split, width, budget, epochs, seed):
    """Weights and biases of a perceptron 64-width-10 with `budget` nonzero parameters."""
    draws = np.random.default_rng(seed)
    x, labels = _inputs(split), split.labels.numpy()
    onehot = np.eye(10)[labels]
    parameters = [
        draws.normal(0.0, np.sqrt(1 / 64), (64, width)),
        np.full(width, 0.01),
        draws.normal(0.0, np.sqrt(1 / width), (width, 10)),
        np.full(10, 0.01),
    ]
    speeds = [np.zeros_like(array) for array in parameters]
    keeps = [np.ones(array.shape, dtype=bool) for array in parameters]
    kept_weights = None if budget is None else budget - width - 10
    for epoch in range(epochs):
        if kept_weights is not None:
            share = 1 - kept_weights / (74 * width)
            now = share * (1 - (1 - min(1.0, (epoch + 1) / max(1, 0.7 * epochs))) ** 3)
            first, second = np.abs(parameters[0]), np.abs(parameters[2])
            keep = _keep(np.concatenate([first.ravel(), second.ravel()]), now)
            keeps[0] = keep[: first.size].reshape(first.shape)
            keeps[2] = keep[first.size :].reshape(second.shape)
        for array, keep in zip(parameters, keeps, strict=True):
            array[~keep] = 0.0
        rate = 0.08 * (1.05 - (epoch + 1) / epochs)
        order = draws.permutation(len(x))
        for batch in np.array_split(order, max(1, len(x) // 32)):
            gradients = _gradients(parameters, x[batch], onehot[batch])
            for array, speed, slope, keep in zip(parameters, speeds, gradients, keeps, strict=True):
                speed *= 0.9
                speed += slope
                array -= rate * speed
                array[~keep] = 0.0
    return parameters


def _gradients(parameters, x, onehot):
    w1, b1, w2, b2 = parameters
    hidden = np.maximum(x @ w1 + b1, 0.0)
    logits = hidden @ w2 + b2
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    slope = (weights / weights.sum(axis=1, keepdims=True) - onehot) / len(x)  # (N, 10)
    back = (slope @ w2.T) * (hidden > 0)  # (N, width)
    return [x.T @ back, back.sum(axis=0), hidden.T @ slope, slope.sum(axis=0)]


def _row(name, parameters, split):
    w1, b1, w2, b2 = parameters
    predicted = (np.maximum(_inputs(split) @ w1 + b1, 0.0) @ w2 + b2).argmax(axis=1)
    params = sum(array.size for array in parameters)
    nonzeros = int(sum(np.count_nonzero(array) for array in parameters))
    return {
        "name": name,
        "params": params,
        "nonzeros": nonzeros,
        "sparsity": 1.0 - nonzeros / params,
        "accuracy": float((predicted == split.labels.numpy()).mean()),
    }


def channel_importance(weight, norm=1, dim=0):
    if not norm > 0:
        raise ValueError(f"norm must be positive, got {norm}")
    if dim not in range(-weight.ndim, weight.ndim):
        raise ValueError(f"dim must be in {-weight.ndim}..{weight.ndim - 1}, got {dim}")
    rows = np.moveaxis(_array(weight), dim, 0).reshape(weight.shape[dim], -1)
    sizes = np.linalg.norm(rows, ord=norm, axis=1)
    return torch.from_numpy(sizes).to(dtype=weight.dtype, device=weight.device)


def prune_channels(conv, bn, next_layer, keep):
    channels = conv.out_channels
    kept = _indices(keep, channels)
    _balanced(kept, channels, conv.groups)
    slim = _build(
        conv, conv.in_channels, conv.groups, _array(conv.weight)[kept], _optional(conv.bias, kept)
    )
    return slim, _slim_norm(bn, channels, kept), _slim_next(next_layer, channels, kept)


def _indices(keep, channels):
    array = np.asarray(keep)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"keep must hold at least one channel, got {keep}")
    if array.dtype == bool:
        if array.size != channels:
            raise ValueError(f"keep must have {channels} flags, got {array.size}")
        array = np.flatnonzero(array)
    elif not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"keep must hold indices or flags, got {array.dtype}")
    if array.size == 0 or array.min() < 0 or array.max() >= channels:
        raise ValueError(f"keep must hold channels in 0..{channels - 1}, got {array}")
    if (np.diff(array) <= 0).any():
        raise ValueError(f"keep must ascend without repetition, got {array}")
    return array


def _balanced(kept, channels, groups):
    counts = np.bincount(kept // (channels // groups), minlength=groups)
    if (counts != counts[0]).any():
        raise ValueError(f"keep must hold equally many channels of each group, got {counts}")


def _optional(bias, kept=slice(None)):
    return None if bias is None else _array(bias)[kept]


def _build(layer, inputs, groups, weight, bias):
    """A layer like `layer` around arrays; weight (out, inputs / groups, ...)."""
    extra = {}
    if not isinstance(layer, nn.Linear):
        names = ("kernel_size", "stride", "padding", "dilation", "padding_mode")
        extra = {name: getattr(layer, name) for name in names} | {"groups": groups}
    built = nn.utils.skip_init(
        type(layer), inputs, len(weight), bias=bias is not None, **extra,
        device=layer.weight.device, dtype=layer.weight.dtype,
    )  # fmt: skip
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None:
            getattr(built, name).data.copy_(torch.from_numpy(array))
            getattr(built, name).requires_grad_(getattr(layer, name).requires_grad)
    return built.train(layer.training)


def _slim_norm(bn, channels, kept):
    if bn is None:
        return None
    if bn.num_features != channels:
        raise ValueError(f"bn must have {channels} features, got {bn.num_features}")
    tensors = [*bn.parameters(), *bn.buffers()]
    slim = type(bn)(
        len(kept), bn.eps, bn.momentum, bn.affine, bn.track_running_stats,
        device=tensors[0].device if tensors else None,
        dtype=tensors[0].dtype if tensors else None,
        bias=bn.bias is not None,
    )  # fmt: skip
    index = torch.from_numpy(kept)
    state = {k: v[index] if v.ndim else v.clone() for k, v in bn.state_dict().items()}
    slim.load_state_dict(state)
    return slim.train(bn.training)


def _slim_next(layer, channels, kept):
    if layer is None:
        return None
    weight = _array(layer.weight)
    if isinstance(layer, nn.Linear):
        if layer.in_features % channels:
            raise ValueError(f"next_layer: {layer.in_features} inputs are not {channels} maps")
        columns = weight.reshape(len(weight), channels, -1)[:, kept].reshape(len(weight), -1)
        return _build(layer, columns.shape[1], 1, columns, _optional(layer.bias))
    if layer.in_channels != channels:
        raise ValueError(f"next_layer must have {channels} inputs, got {layer.in_channels}")
    grouped = weight.reshape(layer.groups, -1, *weight.shape[1:])  # (g, out/g, in/g, kh, kw)
    if layer.groups == channels:
        rows = np.arange(len(weight)).reshape(channels, -1)[kept].ravel()
        return _build(layer, kept.size, kept.size, weight[rows], _optional(layer.bias, rows))
    _balanced(kept, channels, layer.groups)
    local = (kept % (channels // layer.groups)).reshape(layer.groups, -1)  # (g, kept/g)
    slim = np.stack([block[:, columns] for block, columns in zip(grouped, local, strict=True)])
    slim = slim.reshape(len(weight), *slim.shape[2:])
    return _build(layer, kept.size, layer.groups, slim, _optional(layer.bias))


def sensitivity_scan(model, evaluate, grid):
    """Works on a copy, so that the model itself never changes."""
    grid = [_share(sparsity, "grid") for sparsity in grid]
    names = list(_prunable(model))
    curves = {}
    for name in names:
        curves[name] = []
        for sparsity in grid:
            probe = copy.deepcopy(model)
            weight = dict(probe.named_parameters())[name]
            apply_masks(probe, {name: magnitude_mask(weight, sparsity)})
            curves[name].append(evaluate(probe))
    return curves


def grow_and_drop(weight, mask, gradient, fraction):
    fraction = _share(fraction, "fraction")
    if not weight.shape == mask.shape == gradient.shape:
        raise ValueError(
            f"shapes must agree, got {tuple(weight.shape)}, {tuple(mask.shape)}, "
            f"{tuple(gradient.shape)}"
        )
    keep = np.asarray(mask.cpu(), dtype=bool).ravel().copy()
    active, inactive = np.flatnonzero(keep), np.flatnonzero(~keep)
    count = min(round(fraction * active.size), inactive.size)
    magnitudes = np.abs(_array(weight)).ravel()[active]
    slopes = np.abs(_array(gradient)).ravel()[inactive]
    keep[active[np.lexsort((active, magnitudes))[:count]]] = False
    keep[inactive[np.lexsort((inactive, -slopes))[:count]]] = True
    return _tensor(keep, mask)
