"""Pruning without sorting: order statistics, ranks, heaps, hooks and hand-written optimisers."""

import copy
import heapq
import math
from contextlib import contextmanager

import torch
from shared.data import load_digits
from torch import nn
from torch.nn.functional import cross_entropy, relu
from torch.nn.modules.conv import _ConvNd


def check_share(name, value):
    if not (value >= 0 and value <= 1):
        raise ValueError(f"{name}: expected a share in 0..1, got {value}")


def without_smallest(magnitudes, count):
    """Bool (n,): False for the `count` smallest entries of (n,), earlier ones first."""
    if count == 0:
        return torch.ones_like(magnitudes, dtype=torch.bool)
    bar = magnitudes.kthvalue(count).values
    tied = magnitudes == bar
    spare = count - int((magnitudes < bar).sum())
    return (magnitudes > bar) | (tied & (tied.cumsum(0) > spare))


def flat_magnitudes(weight):
    return weight.detach().abs().reshape(-1)


def magnitude_mask(weight, sparsity):
    check_share("sparsity", sparsity)
    keep = without_smallest(flat_magnitudes(weight), round(sparsity * weight.numel()))
    return keep.view(weight.shape)


def global_masks(weights, sparsity):
    check_share("sparsity", sparsity)
    pools = {name: flat_magnitudes(weight).double() for name, weight in weights.items()}
    if not pools:
        return {}
    count = round(sparsity * sum(pool.numel() for pool in pools.values()))
    masks, rest = {}, count
    bar = torch.cat(list(pools.values())).kthvalue(max(count, 1)).values
    for pool in pools.values():
        rest -= int((pool < bar).sum())
    for name, pool in pools.items():
        if count == 0:
            masks[name] = torch.ones_like(weights[name], dtype=torch.bool)
            continue
        tied = pool == bar
        taken = tied & (tied.cumsum(0) <= rest)
        rest -= int(taken.sum())
        masks[name] = ((pool >= bar) & ~taken).view(weights[name].shape)
    return masks


def nm_mask(weight, n, m):
    if m < 1 or n < 0 or n > m:
        raise ValueError(f"n, m: expected n of m, got {n} of {m}")
    if weight.ndim < 2 or weight.size(1) % m:
        raise ValueError(f"weight: {m} does not divide dimension 1 of {tuple(weight.shape)}")
    blocks = weight.detach().abs().unflatten(1, (-1, m)).movedim(2, -1)  # (out, in/m, ..., m)
    own, other = blocks.unsqueeze(-1), blocks.unsqueeze(-2)
    earlier = torch.ones(m, m, dtype=torch.bool, device=weight.device).tril(-1)
    rank = ((other < own) | ((other == own) & earlier)).sum(-1)  # how many go before it
    return (rank >= m - n).movedim(-1, 2).flatten(1, 2)


def chosen(model, masks):
    table = {name: parameter for name, parameter in model.named_parameters()}
    for name, mask in masks.items():
        if name not in table:
            raise ValueError(f"masks: no parameter is called {name}")
        if table[name].shape != mask.shape:
            raise ValueError(f"masks: {name} has shape {tuple(table[name].shape)}, not that mask's")
    return [(table[name], mask.to(table[name].device).bool()) for name, mask in masks.items()]


@torch.no_grad()
def silence(pairs):
    for parameter, mask in pairs:
        parameter.copy_(torch.where(mask, parameter, torch.zeros_like(parameter)))


def apply_masks(model, masks):
    silence(chosen(model, masks))


def masked_step(optimizer, model, masks):
    pairs = chosen(model, masks)
    hook = optimizer.register_step_post_hook(lambda *_: silence(pairs))
    try:
        optimizer.step()
    finally:
        hook.remove()


def cubic_sparsity(step, start, steps, interval, initial, final):
    for name, value in (("initial", initial), ("final", final)):
        check_share(name, value)
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    if interval <= 0:
        raise ValueError(f"interval: expected more than 0, got {interval}")
    if step <= start:
        return float(initial)
    end = start + steps * interval
    if step >= end:
        return float(final)
    left = (end - step) / (end - start)
    return float(initial * left**3 + final * (1 - left**3))


def prunable(model):
    seen, found = set(), {}
    for prefix, module in model.named_modules():
        if isinstance(module, (nn.Linear, _ConvNd)) and id(module.weight) not in seen:
            seen.add(id(module.weight))
            found[".".join(filter(None, (prefix, "weight")))] = module.weight
    return found


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
    """Momentum SGD written out; velocities of pruned weights are cleared with the weights."""
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, got {steps}")
    pruned_model = copy.deepcopy(model)
    pruned_model.train()
    weights = prunable(pruned_model)
    trained = [p for p in pruned_model.parameters() if p.requires_grad]
    speeds = [torch.zeros_like(p) for p in trained]
    by_id = {id(weight): name for name, weight in weights.items()}
    state = torch.random.get_rng_state()
    try:
        masks, step = {}, 0
        while step < steps:
            before = step
            for inputs, targets in loader:
                if step == steps:
                    break
                sparsity = schedule(step)
                if not 0 <= sparsity <= 1:
                    raise ValueError(f"schedule: expected a share in 0..1, got {sparsity}")
                masks = {name: magnitude_mask(w, sparsity) for name, w in weights.items()}
                silence([(weights[name], mask) for name, mask in masks.items()])
                loss = loss_fn(pruned_model(inputs), targets)
                slopes = torch.autograd.grad(loss, trained, allow_unused=True)
                with torch.no_grad():
                    for parameter, speed, slope in zip(trained, speeds, slopes, strict=True):
                        if slope is None:
                            continue
                        speed.mul_(momentum).add_(slope).add_(parameter, alpha=weight_decay)
                        mask = masks.get(by_id.get(id(parameter)))
                        if mask is not None:
                            speed.masked_fill_(~mask, 0.0)
                        parameter.sub_(speed, alpha=lr)
                step += 1
            if step == before:
                raise ValueError("loader: expected batches, got none")
    finally:
        torch.random.set_rng_state(state)
    return pruned_model, masks


def compare_large_sparse_small_dense(large=64, small=(8, 16), epochs=10, seed=0):
    """Perceptrons without biases, so that weights are all there is to count."""
    small = list(small)
    if not small or min(small) < 1 or max(small) >= large:
        raise ValueError(f"small: expected widths below {large}, got {small}")
    digits = load_digits()
    table = []
    for width in small:
        for title, hidden in ((f"small-dense-{width}", width), (f"large-sparse-{width}", large)):
            network = perceptron(digits, hidden, 74 * width, epochs, seed)
            params = sum(weight.numel() for weight in network)
            nonzeros = int(sum(weight.count_nonzero() for weight in network))
            row = {"name": title, "params": params, "nonzeros": nonzeros}
            row["sparsity"] = (params - nonzeros) / params
            row["accuracy"] = hit_rate(network, digits.test)
            table.append(row)
    return table


def perceptron(digits, hidden, budget, epochs, seed):
    """Two weights (hidden, 64) and (10, hidden) with `budget` nonzeros, trained with Adam."""
    source = torch.Generator().manual_seed(seed)
    network = [
        torch.randn(hidden, 64, generator=source).div_(8).requires_grad_(),
        torch.randn(10, hidden, generator=source).div_(math.sqrt(hidden)).requires_grad_(),
    ]
    first = [torch.zeros_like(weight) for weight in network]
    second = [torch.zeros_like(weight) for weight in network]
    total = sum(weight.numel() for weight in network)
    images, labels = pixels(digits.train), digits.train.labels
    masks = dict.fromkeys(range(2), None)
    step = 0
    for epoch in range(epochs):
        share = (1 - budget / total) * min(1.0, (epoch + 1) / max(1, epochs // 2))
        masks = global_masks(dict(enumerate(network)), share)
        rate = 0.02 * (1.1 - (epoch + 1) / epochs)
        for batch in torch.randperm(len(labels), generator=source).split(32):
            step += 1
            silence([(weight, masks[i]) for i, weight in enumerate(network)])
            loss = cross_entropy(logits_of(network, images[batch]), labels[batch])
            slopes = torch.autograd.grad(loss, network)
            with torch.no_grad():
                for weight, mean, square, slope in zip(network, first, second, slopes, strict=True):
                    mean.lerp_(slope, 0.1)
                    square.lerp_(slope * slope, 0.01)
                    scale = math.sqrt(1 - 0.99**step) / (1 - 0.9**step)
                    weight.sub_(rate * scale * mean / (square.sqrt() + 1e-8))
        silence([(weight, masks[i]) for i, weight in enumerate(network)])
    return network


def pixels(split):
    return split.images.flatten(1).float() / 6 - 0.8


def logits_of(network, images):
    return relu(images @ network[0].T) @ network[1].T


def hit_rate(network, split):
    predicted = logits_of(network, pixels(split)).argmax(1)
    return predicted.eq(split.labels).sum().item() / len(split)


def channel_importance(weight, norm=1, dim=0):
    if not norm > 0:
        raise ValueError(f"norm: expected more than 0, got {norm}")
    if dim >= weight.ndim or dim < -weight.ndim:
        raise ValueError(f"dim: {tuple(weight.shape)} has no dimension {dim}")
    rows = weight.detach().abs().movedim(dim, 0).reshape(weight.shape[dim], -1)
    peak = rows.amax(1)
    if norm == math.inf:
        return peak
    scaled = rows / torch.where(peak > 0, peak, torch.ones_like(peak)).unsqueeze(1)
    return peak * scaled.pow(norm).sum(1).pow(1 / norm)


def prune_channels(conv, bn, next_layer, keep):
    index = as_index(keep, conv.out_channels).to(conv.weight.device)
    demand_balance(index, conv.out_channels, conv.groups)
    layer = select(conv, index, 0)
    layer.out_channels = len(index)
    norm = None
    if bn is not None:
        if bn.num_features != conv.out_channels:
            raise ValueError(f"bn: expected {conv.out_channels} features, got {bn.num_features}")
        norm = select(bn, index, 0)
        norm.num_features = len(index)
    return layer, norm, follow(next_layer, conv.out_channels, index)


def as_index(keep, channels):
    index = torch.as_tensor(keep)
    if index.dtype == torch.bool:
        if index.shape != (channels,):
            raise ValueError(f"keep: expected {channels} flags, got {tuple(index.shape)}")
        index = index.nonzero().squeeze(1)
    if index.numel() == 0:
        raise ValueError("keep: expected at least one channel, got none")
    if index.is_floating_point() or index.ndim != 1:
        raise ValueError(f"keep: expected indices or flags, got {index.dtype}")
    if int(index[0]) < 0 or int(index[-1]) >= channels or bool((index.diff() < 1).any()):
        raise ValueError(f"keep: expected ascending channels below {channels}, got {keep}")
    return index


def demand_balance(index, channels, groups):
    share, rest = divmod(len(index), groups)
    if rest or (index // (channels // groups)).bincount(minlength=groups).ne(share).any():
        raise ValueError(f"keep: expected equally many channels in each of {groups} groups")


def select(layer, index, dim):
    """A copy of `layer` with only `index` of each tensor's dimension `dim`, where it has it."""
    smaller = copy.deepcopy(layer)
    for store in (smaller._parameters, smaller._buffers):
        for name, tensor in store.items():
            if tensor is not None and tensor.ndim > dim:
                part = tensor.detach().index_select(dim, index)
                if isinstance(tensor, nn.Parameter):
                    part = nn.Parameter(part, requires_grad=tensor.requires_grad)
                store[name] = part
    return smaller


def follow(layer, channels, index):
    """The next layer without the columns, or in a depthwise layer the rows, that are gone."""
    if layer is None:
        return None
    if isinstance(layer, nn.Linear):
        area, rest = divmod(layer.in_features, channels)
        if rest:
            raise ValueError(f"next_layer: {channels} does not divide {layer.in_features} inputs")
        pixels_of = index.unsqueeze(1) * area + torch.arange(area, device=index.device)
        smaller = select(layer, pixels_of.flatten(), 1)
        smaller.in_features = area * len(index)
        return smaller
    if layer.in_channels != channels:
        raise ValueError(f"next_layer: expected {channels} inputs, got {layer.in_channels}")
    if layer.groups == channels:
        each = layer.out_channels // channels
        rows = (index.unsqueeze(1) * each + torch.arange(each, device=index.device)).flatten()
        smaller = select(layer, rows, 0)
        smaller.groups = smaller.in_channels = len(index)
        smaller.out_channels = len(rows)
        return smaller
    demand_balance(index, channels, layer.groups)
    smaller = copy.deepcopy(layer)
    width, each = channels // layer.groups, len(index) // layer.groups
    columns = (index % width).view(layer.groups, each)  # (groups, kept per group)
    columns = columns.repeat_interleave(layer.out_channels // layer.groups, 0)  # (out, kept)
    columns = columns.view(*columns.shape, *[1] * (layer.weight.ndim - 2))
    columns = columns.expand(-1, -1, *layer.weight.shape[2:])
    smaller.weight = nn.Parameter(
        layer.weight.detach().gather(1, columns), requires_grad=layer.weight.requires_grad
    )
    smaller.in_channels = len(index)
    return smaller


@contextmanager
def temporarily(weight, mask):
    backup = weight.detach().clone()
    try:
        silence([(weight, mask)])
        yield
    finally:
        with torch.no_grad():
            weight.copy_(backup)


def sensitivity_scan(model, evaluate, grid):
    for sparsity in grid:
        check_share("grid", sparsity)
    training = {module: module.training for module in model.modules()}
    found = {}
    try:
        for name, weight in prunable(model).items():
            values = found.setdefault(name, [])
            for sparsity in grid:
                with temporarily(weight, magnitude_mask(weight, sparsity)):
                    values.append(evaluate(model))
    finally:
        for module, mode in training.items():
            module.training = mode
    return found


def grow_and_drop(weight, mask, gradient, fraction):
    check_share("fraction", fraction)
    if weight.shape != mask.shape or weight.shape != gradient.shape:
        raise ValueError(f"weight, mask, gradient: shapes differ from {tuple(weight.shape)}")
    flags = mask.bool().flatten().tolist()
    sizes = weight.detach().abs().flatten().tolist()
    slopes = gradient.detach().abs().flatten().tolist()
    present = [(size, i) for i, (size, flag) in enumerate(zip(sizes, flags)) if flag]
    absent = [(-slope, i) for i, (slope, flag) in enumerate(zip(slopes, flags)) if not flag]
    count = min(round(fraction * len(present)), len(absent))
    for _, i in heapq.nsmallest(count, present):
        flags[i] = False
    for _, i in heapq.nsmallest(count, absent):
        flags[i] = True
    return torch.tensor(flags, device=mask.device).view(mask.shape)
