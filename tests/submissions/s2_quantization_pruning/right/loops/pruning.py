"""Magnitude pruning, schedules, channel pruning and sparse training, with plain loops."""

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from shared.data import Split, load_digits
from shared.models import MLP
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

Batch = Sequence[Tensor]


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value!r}")


def _magnitudes(weight: Tensor) -> list[float]:
    return [abs(value) for value in weight.detach().flatten().tolist()]


def _smallest(values: Sequence[float], count: int) -> list[int]:
    """Positions of the `count` smallest values; of equal ones the first."""
    return sorted(range(len(values)), key=lambda position: values[position])[:count]


def _mask(pruned: Iterable[int], weight: Tensor) -> Tensor:
    keep = [True] * weight.numel()
    for position in pruned:
        keep[position] = False
    return torch.tensor(keep, dtype=torch.bool, device=weight.device).reshape(weight.shape)


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    _check_share("sparsity", sparsity)
    return _mask(_smallest(_magnitudes(weight), round(sparsity * weight.numel())), weight)


def global_masks(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    _check_share("sparsity", sparsity)
    values: list[float] = []
    owners: list[tuple[str, int]] = []
    for name, weight in weights.items():
        for position, value in enumerate(_magnitudes(weight)):
            values.append(value)
            owners.append((name, position))
    pruned: dict[str, list[int]] = {name: [] for name in weights}
    for index in _smallest(values, round(sparsity * len(values))):
        name, position = owners[index]
        pruned[name].append(position)
    return {name: _mask(pruned[name], weight) for name, weight in weights.items()}


def nm_mask(weight: Tensor, n: int, m: int) -> Tensor:
    if m < 1 or not 0 <= n <= m:
        raise ValueError(f"n, m must satisfy 0 <= n <= m and m >= 1, got {n!r}, {m!r}")
    if weight.dim() < 2 or weight.shape[1] % m:
        raise ValueError(f"weight must have a multiple of {m} inputs, got {tuple(weight.shape)}")
    outputs, inputs = weight.shape[:2]
    inner = weight[0, 0].numel() if weight.numel() else 0
    values = _magnitudes(weight)
    pruned = []
    for output in range(outputs):
        for place in range(inner):
            for first in range(0, inputs, m):
                flat = [(output * inputs + first + i) * inner + place for i in range(m)]
                for local in _smallest([values[position] for position in flat], m - n):
                    pruned.append(flat[local])
    return _mask(pruned, weight)


def _parameters(model: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """The parameters that `masks` names, after checking names and shapes."""
    known = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in known:
            raise ValueError(f"masks: the model has no parameter {name!r}")
        if mask.shape != known[name].shape:
            raise ValueError(
                f"masks[{name!r}] must be {tuple(known[name].shape)}, got {tuple(mask.shape)}"
            )
    return {name: known[name] for name in masks}


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    parameters = _parameters(model, masks)
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask.bool(), 0.0)


def masked_step(
    optimizer: torch.optim.Optimizer, model: nn.Module, masks: Mapping[str, Tensor]
) -> None:
    parameters = _parameters(model, masks)
    optimizer.step()
    with torch.no_grad():
        for name, mask in masks.items():
            parameters[name].masked_fill_(~mask.bool(), 0.0)


def _cubic(progress: float, initial: float, final: float) -> float:
    left = 1 - min(max(progress, 0.0), 1.0)
    return final + (initial - final) * left * left * left


def cubic_sparsity(
    step: int, start: int, steps: int, interval: int, initial: float, final: float
) -> float:
    _check_share("initial", initial)
    _check_share("final", final)
    if steps < 1 or interval < 1:
        raise ValueError(f"steps, interval must be at least 1, got {steps!r}, {interval!r}")
    return _cubic((step - start) / (steps * interval), initial, final)


def _prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    found: dict[str, nn.Parameter] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            if any(module.weight is weight for weight in found.values()):
                continue
            found[f"{name}.weight" if name else "weight"] = module.weight
    return found


def _endless(loader: Iterable[Batch]) -> Iterator[Batch]:
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise ValueError("loader must hold at least one batch, got none")


def gradual_prune(
    model: nn.Module,
    loader: Iterable[Batch],
    schedule: Callable[[int], float],
    steps: int,
    loss_fn: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    lr: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> tuple[nn.Module, dict[str, Tensor]]:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps!r}")
    model = copy.deepcopy(model)
    model.train()
    weights = _prunable(model)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=lr, momentum=momentum, weight_decay=weight_decay)
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    batches = _endless(loader)
    with torch.random.fork_rng(devices=[]):
        for step in range(steps):
            sparsity = schedule(step)
            _check_share("schedule(step)", sparsity)
            if step % 5 == 0 or step == steps - 1:
                masks = {name: magnitude_mask(w, sparsity) for name, w in weights.items()}
                apply_masks(model, masks)
            inputs, targets = next(batches)
            optimizer.zero_grad()
            loss_fn(model(inputs), targets).backward()
            optimizer.step()
            apply_masks(model, masks)
    return model, masks


def compare_large_sparse_small_dense(
    large: int = 64, small: Sequence[int] = (8, 16), epochs: int = 10, seed: int = 0
) -> list[dict[str, Any]]:
    """Counts are those of weights; biases are neither pruned nor counted."""
    if not small or any(not 1 <= width < large for width in small):
        raise ValueError(f"small must hold widths in 1..{large - 1}, got {small!r}")
    digits = load_digits().normalised()
    rows = []
    for width in small:
        dense = _fresh(width, seed)
        budget = _weight_count(dense)
        _train(dense, digits.train, None, epochs, seed)
        rows.append(_row(f"small dense, width {width}", dense, digits.test))

        sparse = _fresh(large, seed)
        _train(sparse, digits.train, budget, epochs, seed)
        title = f"large sparse, width {large}, as many weights as {width}"
        rows.append(_row(title, sparse, digits.test))
    return rows


def _fresh(width: int, seed: int) -> MLP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MLP((64, width, 10))


def _weight_count(model: MLP) -> int:
    return sum(layer.weight.numel() for layer in model.layers)


def _train(model: MLP, split: Split, budget: int | None, epochs: int, seed: int) -> None:
    """Train; with a budget, prune on the way until so many weights are left."""
    draws = random.Random(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    names = [f"layers.{number}.weight" for number in range(len(model.layers))]
    total = _weight_count(model)
    masks: dict[str, Tensor] = {}
    for epoch in range(epochs):
        if budget is not None:
            final = 1 - budget / total
            sparsity = _cubic((epoch + 1) / max(1, epochs - 2), 0.0, final)
            weights = dict(model.named_parameters())
            masks = global_masks({name: weights[name] for name in names}, sparsity)
            apply_masks(model, masks)
        order = list(range(len(split)))
        draws.shuffle(order)
        for first in range(0, len(order), 64):
            batch = torch.tensor(order[first : first + 64])
            optimizer.zero_grad()
            cross_entropy(model(split.images[batch]), split.labels[batch]).backward()
            masked_step(optimizer, model, masks)


def _row(name: str, model: MLP, held_out: Split) -> dict[str, Any]:
    with torch.no_grad():
        predicted = model(held_out.images).argmax(dim=1).tolist()
    hits = 0
    for guess, label in zip(predicted, held_out.labels.tolist(), strict=True):
        if guess == label:
            hits += 1
    params = _weight_count(model)
    nonzeros = 0
    for layer in model.layers:
        for value in layer.weight.flatten().tolist():
            if value != 0:
                nonzeros += 1
    return {
        "name": name,
        "params": params,
        "nonzeros": nonzeros,
        "sparsity": 1 - nonzeros / params,
        "accuracy": hits / len(predicted),
    }


def channel_importance(weight: Tensor, norm: float = 1, dim: int = 0) -> Tensor:
    if not norm > 0:
        raise ValueError(f"norm must be positive, got {norm!r}")
    if not -weight.dim() <= dim < weight.dim():
        raise ValueError(f"dim must be a dimension of {tuple(weight.shape)}, got {dim!r}")
    result = []
    for channel in range(weight.shape[dim]):
        values = _magnitudes(weight.select(dim, channel))
        largest = max(values)
        if largest == 0 or norm == float("inf"):
            result.append(largest)
        else:
            total = sum((value / largest) ** norm for value in values)
            result.append(largest * total ** (1 / norm))
    return torch.tensor(result, dtype=weight.dtype, device=weight.device)


def prune_channels(
    conv: nn.Module, bn: nn.Module | None, next_layer: nn.Module | None, keep: Any
) -> tuple[nn.Module, nn.Module | None, nn.Module | None]:
    kept = _kept_channels(keep, conv.out_channels)
    _check_groups("conv", conv.out_channels, conv.groups, kept)

    new_conv = _empty_conv(conv, conv.in_channels, len(kept), conv.groups)
    with torch.no_grad():
        for new, old in enumerate(kept):
            new_conv.weight[new] = conv.weight[old]
            if conv.bias is not None:
                new_conv.bias[new] = conv.bias[old]

    new_bn = None
    if bn is not None:
        if bn.num_features != conv.out_channels:
            raise ValueError(f"bn must have {conv.out_channels} features, got {bn.num_features}")
        new_bn = type(bn)(
            len(kept),
            bn.eps,
            bn.momentum,
            bn.affine,
            bn.track_running_stats,
            bias=bn.bias is not None,
        ).to(device=conv.weight.device)
        for name, value in bn.state_dict().items():
            if value.dim() == 1:
                value = torch.stack([value[old] for old in kept])
            target = dict(new_bn.named_parameters()) | dict(new_bn.named_buffers())
            target[name].data = value.clone()
        new_bn.train(bn.training)

    if next_layer is None:
        return new_conv, new_bn, None
    if isinstance(next_layer, nn.Linear):
        return new_conv, new_bn, _narrow_linear(next_layer, conv.out_channels, kept)
    return new_conv, new_bn, _narrow_conv(next_layer, conv.out_channels, kept)


def _kept_channels(keep: Any, channels: int) -> list[int]:
    values = keep.tolist() if isinstance(keep, Tensor) else list(keep)
    if values and all(isinstance(value, bool) for value in values):
        if len(values) != channels:
            raise ValueError(f"keep must have {channels} entries, got {len(values)}")
        values = [channel for channel, flag in enumerate(values) if flag]
    if not values:
        raise ValueError("keep must hold at least one channel, got none")
    for before, after in zip(values, values[1:]):
        if after <= before:
            raise ValueError(f"keep must be distinct and ascending, got {values}")
    if values[0] < 0 or values[-1] >= channels:
        raise ValueError(f"keep must lie in 0..{channels - 1}, got {values}")
    return values


def _check_groups(name: str, channels: int, groups: int, kept: list[int]) -> None:
    counts = [0] * groups
    for channel in kept:
        counts[channel * groups // channels] += 1
    if len(set(counts)) != 1:
        raise ValueError(f"keep must hold equally many channels of each group of {name}: {counts}")


def _empty_conv(conv: nn.Module, inputs: int, outputs: int, groups: int) -> nn.Module:
    """A layer with the settings of `conv` and unset weights; draws no random number."""
    new = nn.utils.skip_init(
        type(conv),
        inputs,
        outputs,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
        groups=groups,
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    for parameter, old in zip(new.parameters(), conv.parameters(), strict=True):
        parameter.requires_grad_(old.requires_grad)
    return new.train(conv.training)


def _narrow_linear(linear: nn.Linear, channels: int, kept: list[int]) -> nn.Linear:
    if linear.in_features % channels:
        raise ValueError(
            f"next_layer must have a multiple of {channels} inputs, got {linear.in_features}"
        )
    area = linear.in_features // channels
    new = nn.utils.skip_init(
        nn.Linear,
        area * len(kept),
        linear.out_features,
        bias=linear.bias is not None,
        device=linear.weight.device,
        dtype=linear.weight.dtype,
    )
    with torch.no_grad():
        for position, channel in enumerate(kept):
            for pixel in range(area):
                new.weight[:, position * area + pixel] = linear.weight[:, channel * area + pixel]
        if linear.bias is not None:
            new.bias.copy_(linear.bias)
    for parameter, old in zip(new.parameters(), linear.parameters(), strict=True):
        parameter.requires_grad_(old.requires_grad)
    return new.train(linear.training)


def _narrow_conv(conv: nn.Module, channels: int, kept: list[int]) -> nn.Module:
    if conv.in_channels != channels:
        raise ValueError(f"next_layer must have {channels} inputs, got {conv.in_channels}")
    if conv.groups == channels:
        each = conv.out_channels // channels
        rows = [channel * each + i for channel in kept for i in range(each)]
        new = _empty_conv(conv, len(kept), len(rows), len(kept))
        with torch.no_grad():
            for position, row in enumerate(rows):
                new.weight[position] = conv.weight[row]
                if conv.bias is not None:
                    new.bias[position] = conv.bias[row]
        return new

    _check_groups("next_layer", channels, conv.groups, kept)
    new = _empty_conv(conv, len(kept), conv.out_channels, conv.groups)
    width = channels // conv.groups
    rows_per_group = conv.out_channels // conv.groups
    with torch.no_grad():
        for row in range(conv.out_channels):
            group = row // rows_per_group
            local = [channel - group * width for channel in kept if channel // width == group]
            for position, column in enumerate(local):
                new.weight[row, position] = conv.weight[row, column]
        if conv.bias is not None:
            new.bias.copy_(conv.bias)
    return new


def sensitivity_scan(
    model: nn.Module, evaluate: Callable[[nn.Module], float], grid: Sequence[float]
) -> dict[str, list[float]]:
    for sparsity in grid:
        _check_share("grid", sparsity)
    modes = [(module, module.training) for module in model.modules()]
    results: dict[str, list[float]] = {}
    for name, weight in _prunable(model).items():
        original = weight.detach().clone()
        results[name] = []
        for sparsity in grid:
            mask = magnitude_mask(original, sparsity)
            try:
                with torch.no_grad():
                    weight.masked_fill_(~mask, 0.0)
                results[name].append(evaluate(model))
            finally:
                with torch.no_grad():
                    weight.copy_(original)
                for module, training in modes:
                    module.training = training
    return results


def grow_and_drop(weight: Tensor, mask: Tensor, gradient: Tensor, fraction: float) -> Tensor:
    _check_share("fraction", fraction)
    if mask.shape != weight.shape or gradient.shape != weight.shape:
        raise ValueError(
            f"weight, mask and gradient must have one shape, got {tuple(weight.shape)}, "
            f"{tuple(mask.shape)}, {tuple(gradient.shape)}"
        )
    flags = mask.flatten().tolist()
    active = [position for position, flag in enumerate(flags) if flag]
    inactive = [position for position, flag in enumerate(flags) if not flag]
    count = min(round(fraction * len(active)), len(inactive))
    weights = _magnitudes(weight)
    slopes = _magnitudes(gradient)
    dropped = _smallest([weights[position] for position in active], count)
    grown = _smallest([-slopes[position] for position in inactive], count)
    keep = [bool(flag) for flag in flags]
    for position in dropped:
        keep[active[position]] = False
    for position in grown:
        keep[inactive[position]] = True
    return torch.tensor(keep, dtype=torch.bool, device=mask.device).reshape(mask.shape)
