# Generated from solutions/s5_automl/policies.py by `autograder release`: change it there.
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
        # TODO(s5.AccuracyPredictor): your code; the docstring says what it must do
        raise NotImplementedError("s5.AccuracyPredictor")

    def predict(self, codes: Sequence[tuple[int, ...]]) -> list[float]:
        """Return a prediction for each architecture, in order.

        Raises:
            ValueError: before `fit`.
        """
        # TODO(s5.AccuracyPredictor): your code; the docstring says what it must do
        raise NotImplementedError("s5.AccuracyPredictor")

    def _kernel(self, asked: Tensor, decay: Tensor) -> Tensor:
        """Covariances (asked, known): 1 for equal genes, a factor less for each that differs."""
        # TODO(s5.AccuracyPredictor): your code; the docstring says what it must do
        raise NotImplementedError("s5.AccuracyPredictor")

    def _surprise(self, parameters: Tensor, targets: Tensor) -> float:
        """Negative log likelihood up to a constant (Rasmussen and Williams 2006, equation 5.8)."""
        # TODO(s5.AccuracyPredictor): your code; the docstring says what it must do
        raise NotImplementedError("s5.AccuracyPredictor")


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
    # TODO(s5.amc_bound_action): your code; the docstring says what it must do
    raise NotImplementedError("s5.amc_bound_action")


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
    # TODO(s5.amc_reward): your code; the docstring says what it must do
    raise NotImplementedError("s5.amc_reward")


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
    # TODO(s5.allocate_bits): your code; the docstring says what it must do
    raise NotImplementedError("s5.allocate_bits")


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
    # TODO(s5.recalibrate_batchnorm): your code; the docstring says what it must do
    raise NotImplementedError("s5.recalibrate_batchnorm")


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
    # TODO(s5.hypervolume): your code; the docstring says what it must do
    raise NotImplementedError("s5.hypervolume")


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
    # TODO(s5.gptq): your code; the docstring says what it must do
    raise NotImplementedError("s5.gptq")
