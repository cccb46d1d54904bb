"""Session 2, pruning: weights, patterns and channels that a network can do without.

A mask is a bool tensor in the shape of its weight, True = keep. Prunable are the weights of linear
and convolution layers, never biases, norms or embeddings. "Smallest" always means magnitude, and
the flat index of an element is its place in row-major order.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from shared.checks import check_axis, check_fraction, check_int, check_mask, check_shape, refuse
from shared.data import TensorBatches, load_digits
from shared.seeding import isolated_rng

Batches = Iterable[Sequence[Tensor]]
LossFunction = Callable[[Tensor, Tensor], Tensor]
Layer = TypeVar("Layer", bound=nn.Module)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def _prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of all linear and convolution layers, by their name in `named_parameters()`.

    A weight that several layers share appears once.
    """
    kinds = (nn.Linear, *CONVOLUTIONS, *TRANSPOSED)
    weights = {id(layer.weight) for layer in model.modules() if isinstance(layer, kinds)}
    return {name: p for name, p in model.named_parameters() if id(p) in weights}


def _check_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """The parameters that the masks are for, by name; ValueError if a name or a mask does not fit.

    A shared parameter may go by any of its names.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, mask in masks.items():
        if name not in parameters:
            raise refuse("masks", "names of parameters", name)
        check_mask(f"masks[{name!r}]", mask, parameters[name])
    return {name: parameters[name] for name in masks}


def _train(
    model: nn.Module,
    loader: Batches,
    steps: int,
    loss_fn: LossFunction,
    update: Callable[[int], None],
) -> None:
    """Train `model` in place: compute gradients and call `update(step)`, for steps 0..steps-1.

    `update` takes the optimiser's step, with whatever else is to be done. The global random
    generators, which dropout and shuffling draw from, are as before afterwards.
    """
    device = next(model.parameters()).device
    with isolated_rng():
        batches = iter(())
        for step in range(steps):
            if (batch := next(batches, None)) is None:  # the next epoch
                batches = iter(loader)
                batch = next(batches, None)
            if batch is None:
                raise refuse("loader", "at least one batch", loader)
            inputs, targets = batch
            model.zero_grad()
            loss = loss_fn(model(inputs.to(device)), targets.to(device))
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
            update(step)


# ---- masks ---------------------------------------------------------------------------------


def magnitude_mask(weight: Tensor, sparsity: float) -> Tensor:
    """Return the mask that prunes the given share of a weight, smallest magnitudes first.

    Exactly `round(sparsity * n)` of the n elements are False, with Python's `round` (half to
    even). Of equal magnitudes the one with the lower flat index is pruned first, so a constant
    weight is neither kept nor pruned as a whole. 0 keeps everything, 1 prunes everything.

    Args:
        weight: floating, any shape; not changed.
        sparsity: share to prune, in 0..1.

    Returns:
        bool tensor of the weight's shape on its device, True = keep.

    Raises:
        ValueError: if `sparsity` is outside 0..1.

    >>> magnitude_mask(torch.tensor([[0.5, -3.0], [-0.1, 0.5]]), sparsity=0.5)
    tensor([[False,  True],
            [False,  True]])
    """
    # BEGIN SOLUTION s2.magnitude_mask
    check_fraction("sparsity", sparsity)
    # A threshold (Han et al., 2015, section 3) cannot split ties, a stable sorting order can.
    order = weight.detach().abs().flatten().argsort(stable=True)
    keep = torch.ones_like(order, dtype=torch.bool)
    keep[order[: round(sparsity * len(order))]] = False
    return keep.view(weight.shape)
    # END SOLUTION


def global_masks(weights: Mapping[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Return masks that together prune the given share of all weights, smallest first.

    Like `magnitude_mask` on all tensors laid end to end, in the order of the mapping: a layer of
    small weights may lose much more than another. Exactly `round(sparsity * N)` of all N elements
    are pruned; of equal magnitudes the earlier one goes first.

    Args:
        weights: name to floating tensor; everything in it takes part, so it is the caller who
            leaves biases and norms out. May be empty; not changed.
        sparsity: share to prune, in 0..1.

    Returns:
        name to bool mask (True = keep) of that tensor's shape, in the order of `weights`.

    Raises:
        ValueError: if `sparsity` is outside 0..1.

    >>> global_masks({"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([0.5, 2.0])}, 0.75)
    {'a': tensor([False, False]), 'b': tensor([False,  True])}
    """
    # BEGIN SOLUTION s2.global_masks
    check_fraction("sparsity", sparsity)
    if not weights:
        return {}
    everything = torch.cat([weight.detach().flatten() for weight in weights.values()])
    together = magnitude_mask(everything, sparsity)
    parts = torch.split(together, [w.numel() for w in weights.values()])
    return {name: part.view(weights[name].shape) for name, part in zip(weights, parts)}
    # END SOLUTION


def nm_mask(weight: Tensor, n: int, m: int) -> Tensor:
    """Return the mask of N:M sparsity: of every m consecutive weights the n largest are kept.

    Consecutive means along dimension 1, the inputs that one output sums over; other dimensions
    (outputs, kernel rows and columns) form groups of their own. That is the pattern which 2:4
    hardware skips (Mishra et al., "Accelerating sparse deep neural networks", 2021, section 3).
    Of equal magnitudes in a group, the one with the lower index is pruned first.

    Args:
        weight: floating (out, in) or (out, in / groups, ...); not changed.
        n: kept in each group, 0..m.
        m: size of a group, at least 1.

    Returns:
        bool mask of the weight's shape, True = keep.

    Raises:
        ValueError: if `n` or `m` is no such int, `weight` has fewer than 2 dimensions, or its
            dimension 1 is not a multiple of `m`.

    >>> nm_mask(torch.tensor([[1.0, -3.0, 2.0, 0.5, 0.0, 0.0, 0.0, 4.0]]), n=2, m=4)
    tensor([[False,  True,  True, False, False, False,  True,  True]])
    """
    # BEGIN SOLUTION s2.nm_mask
    check_int("m", m, 1)
    check_int("n", n, 0, m)
    if weight.dim() < 2 or weight.shape[1] % m:
        raise refuse("weight", f"shape (out, a multiple of {m}, ...)", weight)
    rows = weight.detach().abs().transpose(1, -1)  # (out, ..., in)
    groups = rows.reshape(*rows.shape[:-1], -1, m)  # (out, ..., in / m, m)
    smallest = groups.argsort(stable=True)[..., : m - n]
    keep = torch.ones_like(groups, dtype=torch.bool).scatter(-1, smallest, False)
    return keep.flatten(-2).transpose(1, -1).contiguous()
    # END SOLUTION


# ---- masks in a network --------------------------------------------------------------------


def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the pruned weights of a model to zero, in place.

    The `Parameter` objects stay the same (an optimiser that holds them goes on working); kept
    weights, and parameters without a mask, are not touched. `masks` maps names, as in
    `model.named_parameters()`, to bool masks of the parameters' shapes.

    Raises:
        ValueError: for an unknown name or a mask that does not fit; then nothing has been changed.

    With a weight of [[1, 2], [3, 4]], the mask [[True, False], [False, True]] leaves
    [[1, 0], [0, 4]].
    """
    # BEGIN SOLUTION s2.apply_masks
    with torch.no_grad():
        for name, parameter in _check_masks(model, masks).items():
            # Unlike a product, this also works where a weight is NaN.
            parameter.masked_fill_(~masks[name].to(parameter.device), 0.0)
    # END SOLUTION


def masked_step(optimizer: Optimizer, model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Take one optimiser step after which the pruned weights are exactly zero.

    Kept weights, and parameters without a mask, get just the values that `optimizer.step()`
    alone would give them. What is pruned is what `masks` says: a kept weight that happens to be
    0 goes on training. Gradients are the caller's business: they are there before the call, and
    they are not zeroed.

    Args:
        optimizer: any optimiser over the parameters of `model`, with momentum or weight decay.
        model: the module that is trained, in place.
        masks: as for `apply_masks`.

    Raises:
        ValueError: as `apply_masks`; then no step has been taken.

    Weights (1, 0, 0) with the mask (True, True, False), gradients (1, 1, 1) and plain SGD of rate
    0.1 become (0.9, -0.1, 0).
    """
    # BEGIN SOLUTION s2.masked_step
    _check_masks(model, masks)
    optimizer.step()
    # Zero gradients would not do: momentum from before the pruning and weight decay move a weight
    # without one, so it is the weights that are masked (Han et al., 2015, section 3.3).
    apply_masks(model, masks)
    # END SOLUTION


# ---- pruning while training ------------------------------------------------------------------


def cubic_sparsity(
    step: int, start: int, steps: int, interval: int, initial: float, final: float
) -> float:
    """Return the sparsity at a training step: steep at first, flat when little is left to prune.

    With t0 = start, n = steps and dt = interval (Zhu & Gupta, "To prune, or not to prune", 2017,
    equation 1):

        s(t) = final + (initial - final) * (1 - (t - t0) / (n * dt))**3

    at the pruning times t = t0, t0 + dt, ..., t0 + n dt; `initial` before and `final` after them.
    Between two of them you may use the same formula, or stay at the earlier one's value.

    Args:
        step: the training step t.
        start: training step of the first pruning.
        steps: number n of prunings behind the first, at least 1.
        interval: training steps between two prunings, at least 1.
        initial: sparsity up to `start`, in 0..1, usually 0.
        final: sparsity from `start + steps * interval` on, in 0..1.

    Raises:
        ValueError: if `steps` or `interval` is no such int, or a sparsity is outside 0..1.

    >>> [cubic_sparsity(t, 10, 2, 5, initial=0.0, final=0.5) for t in (0, 10, 15, 20, 99)]
    [0.0, 0.0, 0.4375, 0.5, 0.5]
    """
    # BEGIN SOLUTION s2.cubic_sparsity
    check_int("steps", steps, 1)
    check_int("interval", interval, 1)
    check_fraction("initial", initial)
    check_fraction("final", final)
    if step <= start:
        return initial  # final + (initial - final) may miss it by rounding
    left = max(1 - (step - start) / (steps * interval), 0.0)
    return final + (initial - final) * left**3
    # END SOLUTION


def gradual_prune(
    model: nn.Module,
    loader: Batches,
    schedule: Callable[[int], float],
    steps: int,
    loss_fn: LossFunction = F.cross_entropy,
    lr: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> tuple[nn.Module, dict[str, Tensor]]:
    """Train a copy of a network while more and more of its weights are pruned.

    The copy takes `steps` steps of SGD. With each step 0..steps-1 comes `schedule(step)`, the
    share of weights that has to be zero by then: of each layer, or of all together, as you like.
    Prune the smallest *present* magnitudes, since training changes which weights matter (Zhu &
    Gupta, 2017, section 3), and keep at zero what is pruned, momentum or not. At the end
    `schedule(steps - 1)` is reached; let your schedule get to its last value well before, so that
    the network can recover. `_train` has the loop.

    Args:
        model: the network to start from; not changed.
        loader: batches (inputs, targets), gone through as often as the steps need.
        schedule: training step to sparsity in 0..1, usually never falling; for example
            `lambda step: cubic_sparsity(step, 20, 10, 5, 0.0, 0.9)`.
        steps: number of optimiser steps, at least 1.
        loss_fn: loss of (outputs, targets).
        lr, momentum, weight_decay: SGD's.

    Returns:
        (model, masks): the trained copy, and the name of every prunable weight (`_prunable`) with
        its mask. Masked weights of the copy are exactly 0; biases and norms are never pruned.
        With a sparsity of s, `round(s * n)` of n weights are False, of a layer or of all.

    Raises:
        ValueError: if `steps` is below 1, `schedule` returns something outside 0..1, the loader
            has no batches or the model no prunable weight.
    """
    # BEGIN SOLUTION s2.gradual_prune
    check_int("steps", steps, 1)
    pruned = copy.deepcopy(model).train()
    weights = _prunable(pruned)
    if not weights:
        raise refuse("model", "a linear or convolution layer", model)
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    optimizer = torch.optim.SGD(pruned.parameters(), lr, momentum, weight_decay=weight_decay)

    def step_and_prune(step: int) -> None:
        masked_step(optimizer, pruned, masks)  # what is pruned is 0, the smallest there is
        sparsity = schedule(step)
        check_fraction(f"schedule({step})", sparsity)
        masks.update(global_masks(weights, sparsity))  # layers compete, which spares small ones
        apply_masks(pruned, masks)

    _train(pruned, loader, steps, loss_fn, step_and_prune)
    return pruned, masks
    # END SOLUTION


def compare_large_sparse_small_dense(
    large: int = 64, small: Sequence[int] = (8, 16), epochs: int = 10, seed: int = 0
) -> list[dict[str, Any]]:
    """Train small dense networks, and a large one pruned to as many nonzero weights, on digits.

    The question of Zhu & Gupta (2017, section 4): with a budget of nonzero weights, is it better
    to have a narrow network with all its weights, or a wide one of which most are zero? For each
    width in `small` there are two rows, the dense network of that width and one of width `large`,
    pruned while it trains. Nothing else may differ: layers, data, optimiser, number of epochs.

    A convenient form is 64-w-w-10 with ReLU and without biases, in which parameters and weights
    are the same thing: width 8 has 64 * 8 + 8 * 8 + 8 * 10 = 656, and width 64 has 8,832, of which
    656 stay at a sparsity of 92.6 %. Train on `load_digits().train`; its `test` images give the
    accuracy, and nothing is chosen on them. A call with the defaults should take a few seconds.

    Args:
        large: width of the network that is pruned.
        small: widths of the dense ones, each at least 1 and below `large`; at least one.
        epochs: passes over the training images, at least 1, the same for every network.
        seed: decides initial weights and the order of the images; the global generators stay
            where they are (`isolated_rng`).

    Returns:
        two dicts for each width, dense before sparse, with

        - "name": str, different for each row;
        - "params": int, elements of all parameters;
        - "nonzeros": int, how many of them are not 0 in the trained network; equal within 1 %
          in the two rows of a width;
        - "sparsity": float, 1 - nonzeros / params;
        - "accuracy": float, share of correct predictions on held-out digits, in 0..1.

    Raises:
        ValueError: if `small` is empty or an argument is outside its range.
    """
    # BEGIN SOLUTION s2.compare_large_sparse_small_dense
    check_int("large", large, 2)
    check_int("epochs", epochs, 1)
    if not small:
        raise refuse("small", "at least one width", small)
    for width in small:
        check_int("small", width, 1, large - 1)
    with isolated_rng():  # importing scikit-learn draws from `random`
        data = load_digits().normalised()

    def build(width: int) -> nn.Module:
        layers = [nn.Linear(a, b, bias=False) for a, b in ((64, width), (width, width))]
        hidden = [module for layer in layers for module in (layer, nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 10, bias=False))

    def measure(name: str, width: int, budget: int | None = None) -> dict[str, Any]:
        with isolated_rng(seed):
            model = build(width)
        params = sum(weight.numel() for weight in model.parameters())
        final = 0.0 if budget is None else 1 - budget / params
        batches = TensorBatches(data, data.train, 64, seed)
        steps = epochs * len(batches)
        start, interval = steps // 10, max(steps // 50, 1)  # 30 prunings, until 70 % of the steps
        trained, _ = gradual_prune(
            model,
            batches,
            lambda t: final if t == steps - 1 else cubic_sparsity(t, start, 30, interval, 0, final),
            steps,
        )
        with torch.no_grad():
            correct = trained(data.test.images).argmax(dim=1) == data.test.labels
        nonzeros = sum(int(weight.count_nonzero()) for weight in trained.parameters())
        return {
            "name": name,
            "params": params,
            "nonzeros": nonzeros,
            "sparsity": 1 - nonzeros / params,
            "accuracy": correct.double().mean().item(),
        }

    rows = []
    for width in small:
        rows.append(measure(f"small dense, width {width}", width))
        rows.append(measure(f"large sparse as width {width}", large, rows[-1]["params"]))
    return rows
    # END SOLUTION


# ---- channels ------------------------------------------------------------------------------


def channel_importance(weight: Tensor, norm: float = 1, dim: int = 0) -> Tensor:
    """Return the norm of each channel of a weight: (sum of |w|**norm) ** (1 / norm).

    Along dimension 0 it ranks the filters of a convolution, i.e. its output channels (Li et al.,
    "Pruning filters for efficient ConvNets", ICLR 2017, section 3.1, with norm 1); along
    dimension 1 the input channels that they read.

    Args:
        weight: floating, at least one dimension; not changed.
        norm: above 0; infinity gives the largest magnitude.
        dim: dimension of the channels; negative ones count from the end.

    Returns:
        (weight.shape[dim],), the weight's dtype.

    Raises:
        ValueError: if `norm` is not above 0 or `dim` is no dimension of the weight.

    >>> channel_importance(torch.tensor([[3.0, -4.0], [1.0, 0.0]]))
    tensor([7., 1.])
    >>> channel_importance(torch.tensor([[3.0, -4.0], [1.0, 0.0]]), norm=2)
    tensor([5., 1.])
    """
    # BEGIN SOLUTION s2.channel_importance
    if not norm > 0:
        raise refuse("norm", "a number above 0", norm)
    check_axis("dim", dim, weight)
    channels = weight.detach().movedim(dim, 0).reshape(weight.shape[dim], -1)  # (channels, rest)
    norms: Tensor = torch.linalg.vector_norm(channels, norm, dim=1)
    return norms
    # END SOLUTION


def _kept_channels(keep: Sequence[int] | Tensor, channels: int) -> Tensor:
    """`keep`, indices or a mask, as a bool mask (channels,) on the CPU.

    ValueError unless it is a mask of `channels` entries, or distinct ascending indices in
    0..channels-1, and keeps at least one channel.
    """
    given = torch.as_tensor(keep if isinstance(keep, Tensor) else list(keep)).cpu()
    if given.dtype == torch.bool and given.shape == (channels,) and given.any():
        return given
    whole = given.dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
    if not whole or given.dim() != 1 or given.numel() == 0:
        raise refuse("keep", f"indices or a mask of {channels} channels", keep)
    indices = given.long()
    if indices[0] < 0 or indices[-1] >= channels or (indices.diff() <= 0).any():
        raise refuse("keep", f"ascending indices in 0..{channels - 1}", keep)
    return torch.zeros(channels, dtype=torch.bool).index_fill(0, indices, True)


def _changed(
    layer: Layer, changes: Mapping[str, Callable[[Tensor], Tensor]], **sizes: int
) -> Layer:
    """A copy of `layer` in which parameters and buffers are changed, and attributes set.

    `changes` maps names like "weight" to functions of the old tensor; what the layer does not
    have (a bias that is None) is left out. `sizes` are attributes such as out_channels. Dtype,
    device, `requires_grad` and train or eval mode are kept.
    """
    copied = copy.deepcopy(layer)
    for name, change in changes.items():
        old = getattr(layer, name)
        if isinstance(old, nn.Parameter):
            setattr(copied, name, nn.Parameter(change(old.detach()).clone(), old.requires_grad))
        elif old is not None:
            setattr(copied, name, change(old).clone())
    for name, size in sizes.items():
        setattr(copied, name, size)
    return copied


def _check_groups(kept: Tensor, layer: nn.Module, groups: int) -> None:
    """ValueError unless equally many of the channels (C,) are kept in each group of `layer`."""
    counts = kept.view(groups, -1).sum(dim=1)
    if (counts != counts[0]).any():
        raise refuse("keep", f"equally many channels per group of {layer}", counts.tolist())


def _reading(layer: nn.Module, kept: Tensor) -> nn.Module:
    """A copy of the layer behind, which reads only the `kept` channels (C,) of C.

    ValueError for a layer of another kind or size.
    """
    # BEGIN SOLUTION s2.prune_channels
    channels, count = len(kept), int(kept.sum())
    if isinstance(layer, nn.Linear) and layer.in_features % channels == 0:
        size = layer.in_features // channels  # pixels of a channel
        changes = {"weight": lambda w: w.reshape(-1, channels, size)[:, kept].flatten(1)}
        return _changed(layer, changes, in_features=count * size)
    if not isinstance(layer, CONVOLUTIONS) or layer.in_channels != channels:
        raise refuse("next_layer", f"one that reads {channels} channels", layer)
    groups = layer.groups
    if groups == channels > 1:  # depthwise: its outputs go as well
        each = layer.out_channels // channels
        read = kept.repeat_interleave(each)
        changes = {"weight": lambda w: w[read], "bias": lambda b: b[read]}
        sizes = {"in_channels": count, "out_channels": count * each, "groups": count}
        return _changed(layer, changes, **sizes)
    _check_groups(kept, layer, groups)

    def inputs(weight: Tensor) -> Tensor:
        blocks = zip(weight.chunk(groups), kept.view(groups, -1))  # (out / g, in / g, ...)
        return torch.cat([block[:, part] for block, part in blocks])

    return _changed(layer, {"weight": inputs}, in_channels=count)
    # END SOLUTION


def prune_channels(
    conv: nn.Module,
    bn: nn.Module | None,
    next_layer: nn.Module | None,
    keep: Sequence[int] | Tensor,
) -> tuple[nn.Module, nn.Module | None, nn.Module | None]:
    """Return smaller layers without the output channels of `conv` that are not in `keep`.

    Unlike a mask this saves memory and MACs on any hardware. The new layers compute what the old
    ones do if the removed channels enter `next_layer` as zeros:

    - `conv` loses filters and biases, `bn` its weight, bias and running statistics of them;
    - a convolution that follows loses the weights that read them;
    - a depthwise convolution that follows (groups = in_channels > 1) loses its own outputs of
      them too, all out_channels / in_channels of each;
    - a linear layer that follows sees channel after channel (flattened (C, H, W)): with
      in_features / C = s, channel c is its columns c * s to (c + 1) * s - 1.

    Sizes that layers state are those of the new tensors; all else stays (`_changed`). What the
    outputs of `conv` are added to (a residual) has to lose the same channels, which this function
    cannot see. Behind a depthwise layer, call it once more with the original `conv`, the norm of
    the depthwise layer and the layer after it.

    Args:
        conv: Conv1d, Conv2d or Conv3d with C output channels; not changed, like the others.
        bn: batch norm of C channels, or None.
        next_layer: convolution of C input channels, Linear of a multiple of C features, or None.
        keep: distinct ascending indices (list, tuple or int64 tensor), or C bools, True = keep.

    Returns:
        (conv, bn, next_layer): new layers, and None where None was given.

    Raises:
        ValueError: if `keep` is something else (`_kept_channels`); if a grouped `conv` or a
            grouped, not depthwise `next_layer` would not keep equally many channels in each
            group; for layers of another kind or size.

    Of Conv2d(3, 4, 3), BatchNorm2d(4), Linear(4 * 4, 10) and keep = [0, 2] remain Conv2d(3, 2, 3),
    BatchNorm2d(2) and Linear(2 * 4, 10) with the columns 0..3 and 8..11.
    """
    # BEGIN SOLUTION s2.prune_channels
    if not isinstance(conv, CONVOLUTIONS):
        raise refuse("conv", "a convolution", conv)
    channels = conv.out_channels
    kept = _kept_channels(keep, channels).to(conv.weight.device)
    _check_groups(kept, conv, conv.groups)
    if bn is not None and not (isinstance(bn, BATCH_NORMS) and bn.num_features == channels):
        raise refuse("bn", f"a batch norm of {channels} channels", bn)

    def outputs(layer: Layer, *tensors: str, **size: int) -> Layer:
        return _changed(layer, dict.fromkeys(tensors, lambda tensor: tensor[kept]), **size)

    count = int(kept.sum())
    statistics = ("running_mean", "running_var")
    return (
        outputs(conv, "weight", "bias", out_channels=count),
        None if bn is None else outputs(bn, "weight", "bias", *statistics, num_features=count),
        None if next_layer is None else _reading(next_layer, kept),
    )
    # END SOLUTION


# ---- which weights? ------------------------------------------------------------------------


def sensitivity_scan(
    model: nn.Module, evaluate: Callable[[nn.Module], float], grid: Sequence[float]
) -> dict[str, list[float]]:
    """Prune one weight at a time to each sparsity, and return what the network is then worth.

    For every prunable weight (`_prunable`) and every sparsity in `grid`: prune that weight alone,
    as `magnitude_mask` does and from its original values, everything else as it was, and call
    `evaluate(model)`. No training in between. A weight whose curve falls early has to keep more
    (Han et al., 2015, section 4, figure 6).

    Args:
        model: any module; its weights change during the scan and are back afterwards, bit by bit,
            also if `evaluate` raises, whose exception is passed on. So is each submodule's train
            or eval mode, whatever `evaluate` makes of it.
        evaluate: called with `model` itself; higher or lower may be better.
        grid: sparsities in 0..1, in any order.

    Returns:
        name as in `model.named_parameters()`, in that order, to a list with what `evaluate`
        returned for each entry of `grid`.

    Raises:
        ValueError: if an entry of `grid` is outside 0..1; then `evaluate` has not been called.

    For one linear layer with the weight (1, 2, 3, 4), `evaluate` = sum of the weights and grid
    (0, 0.5), the result is {"weight": [10, 7]}.
    """
    # BEGIN SOLUTION s2.sensitivity_scan
    for sparsity in grid:
        check_fraction("grid", sparsity)
    modes = [(module, module.training) for module in model.modules()]
    scores: dict[str, list[float]] = {}
    for name, weight in _prunable(model).items():
        original = weight.detach().clone()
        scores[name] = []
        try:
            for sparsity in grid:
                pruned = original.masked_fill(~magnitude_mask(original, sparsity), 0.0)
                with torch.no_grad():
                    weight.copy_(pruned)
                scores[name].append(evaluate(model))
        finally:
            with torch.no_grad():
                weight.copy_(original)
            for module, training in modes:
                module.training = training
    return scores
    # END SOLUTION


def grow_and_drop(weight: Tensor, mask: Tensor, gradient: Tensor, fraction: float) -> Tensor:
    """Return the next mask of dynamic sparse training: as many weights, some in better places.

    Of the active weights (mask True) the k with the smallest magnitudes are dropped; of those
    that were inactive before, the k with the largest gradient magnitudes are grown, with
    k = min(round(fraction * active), inactive) (Evci et al., "Rigging the lottery", ICML 2020,
    algorithm 1; Mocanu et al., "SET", 2018, drops alike and grows at random). So the number of
    active weights never changes, and nothing that was dropped is grown at once. Of equal
    magnitudes the one with the lower flat index is dropped, or grown, first.

    Args:
        weight: floating, any shape; not changed, nor are the others.
        mask: bool, the weight's shape, True = active.
        gradient: floating, the weight's shape, of *all* weights, inactive ones included.
        fraction: share of the active weights to move, in 0..1; k is rounded half to even.

    Returns:
        bool mask of that shape. Grown weights start at 0: whoever trains sees to that.

    Raises:
        ValueError: if shapes differ, `mask` is not bool or `fraction` is outside 0..1.

    >>> weight, mask = torch.tensor([0.1, -2.0, 0.0, 0.0]), torch.tensor([True, True, False, False])
    >>> grow_and_drop(weight, mask, gradient=torch.tensor([9.0, 0.0, 0.5, -1.0]), fraction=0.5)
    tensor([False,  True, False,  True])
    """
    # BEGIN SOLUTION s2.grow_and_drop
    check_fraction("fraction", fraction)
    check_mask("mask", mask, weight)
    check_shape("gradient", gradient, *weight.shape)
    active, inactive = mask.flatten().nonzero()[:, 0], (~mask).flatten().nonzero()[:, 0]
    k = min(round(fraction * len(active)), len(inactive))
    magnitudes = weight.detach().abs().flatten()[active]
    gradients = gradient.detach().abs().flatten()[inactive]
    moved = mask.flatten().clone()
    moved[active[magnitudes.argsort(stable=True)[:k]]] = False
    moved[inactive[gradients.argsort(stable=True, descending=True)[:k]]] = True
    return moved.view(mask.shape)
    # END SOLUTION
