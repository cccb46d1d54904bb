"""Session 5, policies: what to predict, bound, reward and allocate instead of trying everything.

Functions that automatic compression is put together from: a predictor that ranks networks before
they are trained, the bound and the reward of an agent that prunes layer by layer (AMC), the
bits of each layer under a size limit, statistics that fit a network after surgery, a number for
how good a whole front of networks is, and the rounding of weights that disturbs a layer least.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from shared.checks import (
    check_bits,
    check_choice,
    check_fraction,
    check_int,
    check_shape,
    refuse,
)
from shared.records import QParams

# ---- prediction --------------------------------------------------------------------------------


class AccuracyPredictor:
    """Predicts the accuracy of an architecture from its genes, given some that were trained.

    What counts is the order of the predictions, as Kendall's tau measures it: the share of pairs in
    the right order less the share in the wrong one. Genes are names, not amounts, and what one does
    depends on the others (a 1x1 kernel is fine if the rest of the network sees the whole image,
    else fatal), so a sum of one term a gene, a linear model, falls short. Anything else will do: a
    Gaussian process on the number of genes that differ (White et al. 2021 compare 31 predictors), a
    small network, trees.

    >>> predictor = AccuracyPredictor()
    >>> predictor.fit([(0, 0), (0, 1), (1, 0), (1, 1)], [0.9, 0.1, 0.2, 0.8])
    >>> a, b = predictor.predict([(1, 1), (1, 0)])
    >>> a > b
    True
    """

    def __init__(self) -> None:
        self.codes = torch.zeros(0, 0, dtype=torch.int64)
        self.mean = 0.0
        self.dual = torch.zeros(0, dtype=torch.float64)
        self.decay = torch.zeros(0, dtype=torch.float64)

    def fit(self, codes: Sequence[tuple[int, ...]], accuracies: Sequence[float]) -> None:
        """Learn from architectures and their accuracies; a second call starts anew.

        Args:
            codes: genes of each architecture, all of one length.
            accuracies: as many numbers.

        Raises:
            ValueError: if there are none, or the numbers of both differ.
        """
        # BEGIN SOLUTION s5.AccuracyPredictor
        if not len(codes) or len(codes) != len(accuracies):
            raise refuse(
                "accuracies", f"one for each of at least one code, {len(codes)}", accuracies
            )
        self.codes = torch.tensor(list(codes), dtype=torch.int64)
        targets = torch.tensor(list(accuracies), dtype=torch.float64)
        self.mean = float(targets.mean())
        residuals = targets - self.mean
        standardised = residuals / (residuals.square().mean().sqrt() or 1.0)
        # One parameter after the other is halved or doubled while that makes the data likelier.
        parameters = torch.tensor([1.0] * self.codes.shape[1] + [0.1], dtype=torch.float64)
        for place in 3 * [*range(len(parameters))]:
            changed = [parameters.clone() for _ in FACTORS]
            for each, factor in zip(changed, FACTORS):
                each[place] *= factor
            parameters = min(changed, key=lambda each: self._surprise(each, standardised))
        self.decay, noise = parameters[:-1], parameters[-1]
        kernel = self._kernel(self.codes, self.decay) + noise * torch.eye(len(targets)).double()
        self.dual = torch.linalg.solve(kernel, residuals)
        # END SOLUTION

    def predict(self, codes: Sequence[tuple[int, ...]]) -> list[float]:
        """Return a prediction for each architecture, in order.

        Raises:
            ValueError: before `fit`.
        """
        # BEGIN SOLUTION s5.AccuracyPredictor
        if not len(self.codes):
            raise refuse("predict", "a call of fit before", len(self.codes))
        if not len(codes):
            return []
        asked = torch.tensor(list(codes), dtype=torch.int64)
        predictions = self.mean + self._kernel(asked, self.decay) @ self.dual
        return [float(each) for each in predictions]
        # END SOLUTION

    def _kernel(self, asked: Tensor, decay: Tensor) -> Tensor:
        """Covariances (asked, known): 1 for equal genes, a factor less for each that differs."""
        # BEGIN SOLUTION s5.AccuracyPredictor
        differ = (asked[:, None] != self.codes[None]).double()
        return torch.exp(-(differ @ decay))
        # END SOLUTION

    def _surprise(self, parameters: Tensor, targets: Tensor) -> float:
        """Negative log likelihood up to a constant (Rasmussen and Williams 2006, equation 5.8)."""
        # BEGIN SOLUTION s5.AccuracyPredictor
        kernel = self._kernel(self.codes, parameters[:-1])
        kernel += parameters[-1] * torch.eye(len(targets)).double()
        factor = torch.linalg.cholesky(kernel)
        half = torch.linalg.solve_triangular(factor, targets[:, None], upper=False)
        return float(half.square().sum() / 2 + factor.diagonal().log().sum())
        # END SOLUTION


FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""By which a parameter of the predictor is changed to see whether that is better."""


# ---- AMC: an agent that prunes layer by layer --------------------------------------------------


def amc_bound_action(
    action: float,
    layer: int,
    macs: Sequence[int],
    previous: Sequence[float],
    target: float,
    max_action: float,
    channels: Sequence[int],
    round_to: int = 1,
) -> float:
    """Return the share of channels that is really pruned, so that the target can still be reached.

    An agent chooses for layer after layer which share of its channels to prune. It may choose
    freely as long as pruning all later layers as far as allowed still removes the share `target` of
    all MACs (He et al. 2018, algorithm 1); else this layer has to do more:

        duty = target * sum(macs) - (removed before) - (most that later layers can remove)
        action >= duty / macs[layer]

    Channels are whole, and kept in multiples of `round_to`. Rounding must not break the promise:
    what is kept is rounded *down*, unless that would prune more than `max_action`, and later layers
    can only prune what their rounded channels allow.

    Args:
        action: share of this layer's channels that the agent wants to prune, 0..1.
        layer: its index.
        macs: of each layer, unpruned; pruning a share of a layer's channels removes that share.
        previous: what was really pruned in the layers before, `layer` shares.
        target: share of all MACs to be removed, 0..1.
        max_action: no layer is pruned by more, 0..1.
        channels: of each layer, unpruned.
        round_to: kept channels are a multiple of this.

    Returns:
        1 - kept / channels[layer]. If the target is out of reach, the largest share allowed.

    Raises:
        ValueError: if a share is outside 0..1, `layer` is no index, `previous` has not `layer`
            entries, `macs` and `channels` differ in length, or `round_to` is below 1.

    >>> amc_bound_action(0.1, 0, [100, 100], [], 0.5, 0.75, [8, 8])  # 0.25 at least
    0.25
    >>> amc_bound_action(0.1, 1, [100, 100], [0.25], 0.5, 0.75, [8, 8])  # all that is missing
    0.75
    """
    # BEGIN SOLUTION s5.amc_bound_action
    for name, share in (("action", action), ("target", target), ("max_action", max_action)):
        check_fraction(name, share)
    for share in previous:
        check_fraction("previous", share)
    check_int("layer", layer, 0, len(macs) - 1)
    check_int("round_to", round_to, 1)
    if len(channels) != len(macs):
        raise refuse("channels", f"{len(macs)} numbers, as many as macs", channels)
    if len(previous) != layer:
        raise refuse("previous", f"{layer} shares, one for each layer before", previous)

    def fewest(index: int) -> int:
        """Channels that layer `index` has to keep."""
        kept = math.ceil(channels[index] * (1 - max_action) / round_to - ROUNDING) * round_to
        return min(kept, channels[index])

    removed = sum(share * cost for share, cost in zip(previous, macs))
    later = sum(
        (1 - fewest(index) / channels[index]) * macs[index] for index in range(layer + 1, len(macs))
    )
    duty = (target * sum(macs) - removed - later) / macs[layer]
    wanted = channels[layer] * (1 - max(action, duty))
    kept = math.floor(wanted / round_to + ROUNDING) * round_to
    return 1 - max(kept, fewest(layer)) / channels[layer]
    # END SOLUTION


ROUNDING = 1e-9
"""A number of channels so close to a whole one is meant to be whole: 10 * (1 - 0.7) is not 3."""


def amc_reward(error: float, flops: float, mode: str) -> float:
    """Return the reward of a pruned network (He et al. 2018, section 3.3).

    - "resource": -error; the limits are kept by the actions, see `amc_bound_action`.
    - "accuracy": -error * ln(flops); no limits, but small networks are rewarded a little.

    Args:
        error: of the network, smaller is better.
        flops: or MACs, above 1.
        mode: one of the two names.

    Raises:
        ValueError: if `mode` is unknown.

    >>> amc_reward(0.25, 1000, "resource")
    -0.25
    """
    # BEGIN SOLUTION s5.amc_reward
    check_choice("mode", mode, ("resource", "accuracy"))
    return -error if mode == "resource" else -error * math.log(flops)
    # END SOLUTION


# ---- bits ----------------------------------------------------------------------------------------


def allocate_bits(
    sensitivity: Mapping[str, Mapping[int, float]],
    sizes: Mapping[str, int],
    budget_bits: int,
) -> dict[str, int]:
    """Return the bits of each layer with the least total loss within a budget.

    Minimises sum_l sensitivity[l][b_l] under sum_l sizes[l] * b_l <= budget_bits. It is a knapsack
    with one choice a layer; losses need not fall as bits grow, and greedy steps can miss the best.
    Going through the layers once is exact: of all partial choices, only those can become best that
    no other one beats in bits and loss.

    Args:
        sensitivity: layer -> its options: bits -> the loss that they cause.
        sizes: layer -> number of its weights.
        budget_bits: of all weights together.

    Returns:
        Layer -> bits, in the order of `sensitivity`; any of several equally good ones.

    Raises:
        ValueError: if no choice keeps the budget, a layer has no options, or the names of
            `sensitivity` and `sizes` differ.

    >>> allocate_bits({"a": {2: 1.0, 4: 0.1}, "b": {2: 0.2, 4: 0.1}}, {"a": 10, "b": 10}, 60)
    {'a': 4, 'b': 2}
    """
    # BEGIN SOLUTION s5.allocate_bits
    if sensitivity.keys() != sizes.keys():
        raise refuse("sizes", f"the layers {', '.join(sensitivity)}", list(sizes))
    front: list[tuple[int, float, tuple[int, ...]]] = [(0, 0.0, ())]  # bits, loss, choices
    for layer, options in sensitivity.items():
        if not options:
            raise refuse(f"sensitivity[{layer!r}]", "at least one option", options)
        extended = [
            (used + sizes[layer] * bits, loss + more, (*chosen, bits))
            for used, loss, chosen in front
            for bits, more in options.items()
        ]
        front = []
        for entry in sorted(extended):
            affordable = entry[0] <= budget_bits
            if affordable and (not front or entry[1] < front[-1][1]):
                front.append(entry)
    if not front:
        least = sum(sizes[layer] * min(options) for layer, options in sensitivity.items())
        raise refuse("budget_bits", f"at least {least}", budget_bits)
    return dict(zip(sensitivity, front[-1][2]))
    # END SOLUTION


# ---- statistics ----------------------------------------------------------------------------------


def recalibrate_batchnorm(model: nn.Module, loader: Iterable[Tensor | Sequence[Tensor]]) -> None:
    """Measure the running statistics of all batch norm layers anew, in place.

    After pruning or quantisation the activations are others, and the statistics that were learnt
    before no longer fit. They are reset and become the plain average over the batches of `loader`
    (momentum None), each batch counting the same. Nothing is trained: no gradients, and weights
    stay as they are. Other layers, such as dropout, run as in evaluation.

    Args:
        model: changed only in the statistics of its batch norm layers; modes and momentum of every
            submodule are as before afterwards, even if a forward raises.
        loader: batches of inputs, or of (inputs, targets).

    Raises:
        ValueError: if `loader` is empty.
    """
    # BEGIN SOLUTION s5.recalibrate_batchnorm
    modes = {module: module.training for module in model.modules()}
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    norms = [m for m in modes if isinstance(m, kinds) and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    batches = 0
    try:
        model.eval()
        for norm in norms:
            norm.train()
            norm.momentum = None
        with torch.no_grad():
            for batch in loader:
                if batches == 0:  # only now it is known that there is something to measure
                    for norm in norms:
                        norm.reset_running_stats()
                model(batch if isinstance(batch, Tensor) else batch[0])
                batches += 1
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
    if batches == 0:
        raise refuse("loader", "at least one batch", batches)
    # END SOLUTION


# ---- fronts --------------------------------------------------------------------------------------


def hypervolume(points: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Return the area of what `points` dominate, up to `reference` (Zitzler and Thiele 1999).

    A point (cost, accuracy) dominates every pair of higher cost and lower accuracy. The area of all
    that is dominated by at least one point, counted once, is a single number for a whole front: it
    grows whenever the front gets better anywhere.

    Args:
        points: (cost, accuracy), in any order; those that no other dominates make the front.
        reference: (worst cost, worst accuracy); points that are worse in either count nothing.

    Returns:
        The area, 0.0 without points.

    >>> hypervolume([(1.0, 0.5), (2.0, 0.9), (3.0, 0.8)], (4.0, 0.0))  # 3 * 0.5 + 2 * 0.4
    2.3
    """
    # BEGIN SOLUTION s5.hypervolume
    worst_cost, best_so_far = reference
    area = 0.0
    for cost, accuracy in sorted(points):
        if cost < worst_cost and accuracy > best_so_far:
            area += (worst_cost - cost) * (accuracy - best_so_far)
            best_so_far = accuracy
    return area
    # END SOLUTION


# ---- rounding ----------------------------------------------------------------------------------


def gptq(
    weight: Tensor, hessian: Tensor, bits: int, group: int | None = None, damp: float = 0.01
) -> tuple[Tensor, QParams]:
    """Return the codes of a linear layer, rounded so that its *outputs* change least.

    Column after column is rounded, and what that changes in the output is made up for by the
    columns that are still free (Frantar et al. 2023; Hassibi and Stork 1993 for single weights).
    With H the Hessian of the squared error of the outputs, X X^T up to a factor, and U the upper
    Cholesky factor of its inverse (H^-1 = U^T U), rounding column j to q_j moves the others by

        W[:, j+1:] -= (w_j - q_j) / U[j, j] * U[j, j+1:]

    Scales are fixed before: the largest magnitude of a row, or of a group of columns in it, becomes
    the largest code of the narrow symmetric range, 2^(bits-1) - 1.

    Args:
        weight: floating (out, in); not changed.
        hessian: floating (in, in), symmetric and positive semi-definite; not changed.
        bits: 2..32.
        group: columns that share a scale, side by side; a divisor of `in`. None: the whole row.
        damp: so many times the mean of the diagonal is added to the diagonal.

    Returns:
        codes: int32 (out, in). A column whose input is always 0 (diagonal entry 0) gets codes 0.
        qparams: scale float32 (out,), or (out, in / group); zero points 0.

    Raises:
        ValueError: if the shapes do not match, `bits` is no int in 2..32 or `group` no divisor.

    >>> codes, qparams = gptq(torch.tensor([[7.0, 3.4]]), torch.eye(2), bits=4)
    >>> codes, qparams.scale  # a diagonal Hessian: plain rounding
    (tensor([[7, 3]], dtype=torch.int32), tensor([1.]))
    """
    # BEGIN SOLUTION s5.gptq
    check_bits("bits", bits, 2)
    check_shape("weight", weight, "out", "in")
    outputs, inputs = weight.shape
    check_shape("hessian", hessian, inputs, inputs)
    width = inputs if group is None else group
    check_int("group", width, 1)
    if inputs % width:
        raise refuse("group", f"a divisor of {inputs}", group)
    top = 2 ** (bits - 1) - 1
    left, h = weight.detach().double().clone(), hessian.detach().double().clone()
    scale = left.unflatten(1, (-1, width)).abs().amax(2) / top  # (out, in / width)
    scale = torch.where(scale > 0, scale, 1.0)
    dead = h.diagonal() == 0
    left[:, dead] = 0
    h.diagonal()[dead] = 1
    h.diagonal().add_(damp * h.diagonal().mean())
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(h))
    factor = torch.linalg.cholesky(inverse, upper=True)
    codes = torch.zeros(outputs, inputs, dtype=torch.int32, device=weight.device)
    for column in range(inputs):
        step = scale[:, column // width]
        rounded = (left[:, column] / step).round().clamp(-top, top)
        codes[:, column] = rounded.int()
        error = (left[:, column] - rounded * step) / factor[column, column]
        left[:, column + 1 :] -= error[:, None] * factor[column, column + 1 :]
    scale = scale.to(weight.dtype)
    scale = scale[:, 0] if group is None else scale
    return codes, QParams(scale, torch.zeros_like(scale, dtype=torch.int32))
    # END SOLUTION
