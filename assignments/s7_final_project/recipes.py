# Generated from solutions/s7_final_project/recipes.py by `autograder release`: change it there.
"""Recipes to combine: what to quantise, how to prune in rounds, how to distil.

Each is one small piece that works on any network made of the layers of `quantised.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from network import SmallResNet
from quantised import ConvNorm, Quantiser
from torch import Tensor, nn


def convolutions(model: nn.Module) -> Iterator[ConvNorm]:
    """The prunable layers."""
    return (module for module in model.modules() if isinstance(module, ConvNorm))


def start_quantising(
    model: SmallResNet,
    bits: Sequence[int],
    edge_bits: int,
    weight_bits: Sequence[int] | None = None,
) -> None:
    """Quantise each stage to its number of `bits`, the first and last layer to `edge_bits`.

    Those two are few MACs and suffer most. `weight_bits` are those of the weights in each stage,
    by default `bits`; 1 is BinaryConnect.
    """
    for stage, width, weight_width in zip(model.stages, bits, weight_bits or bits, strict=True):
        for module in stage.modules():
            if isinstance(module, Quantiser):
                module.start(weight_width if module.signed else width)
    for quantiser in (model.stem.quantiser, model.pooled, model.classifier.quantiser):
        quantiser.start(edge_bits)


@torch.no_grad()
def prune_globally(model: nn.Module, sparsity: float) -> None:
    """Mask the smallest share of all weights, each layer relative to its own mean magnitude.

    Relative magnitudes keep a layer with small weights from vanishing altogether.
    """
    layers = list(convolutions(model))
    scores = [layer.conv.weight.abs() / layer.conv.weight.abs().mean() for layer in layers]
    everything = torch.cat([score.flatten() for score in scores])
    count = round(sparsity * everything.numel())
    if count == 0:
        return
    threshold = everything.kthvalue(count).values
    for layer, score in zip(layers, scores, strict=True):
        layer.mask.copy_(score > threshold)


def distillation(
    temperature: float, teacher: nn.Module | None = None
) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """T^2 * KL(teacher || student), both softened by T (Hinton et al. 2015).

    The objective's targets are the teacher's logits (N, classes); labels are not looked at. With a
    `teacher`, a network in eval mode, they are what it says of the same inputs.
    """

    def objective(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        if teacher is not None:
            with torch.no_grad():
                targets = teacher(inputs)
        ours = F.log_softmax(model(inputs).float() / temperature, dim=1)
        theirs = F.log_softmax(targets.float() / temperature, dim=1)
        loss = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return temperature**2 * loss

    return objective


class PruneInRounds:
    """Called after each optimiser step: prunes more every few steps, up to `sparsity`.

    Along the cubic schedule of Zhu & Gupta (2017) over the first half of `steps`; then the rest can
    recover. The number of steps done is a buffer of the model, so a checkpoint holds it.
    """

    def __init__(self, model: nn.Module, sparsity: float, steps: int, every: int = 50) -> None:
        self._model, self._final, self._steps, self._every = model, sparsity, steps, every
        model.register_buffer("pruning_step", torch.tensor(0))

    def __call__(self) -> None:
        """Count one step, and prune if it is time."""
        done = self._model.get_buffer("pruning_step")
        done += 1
        step, ramp = int(done), self._steps // 2
        if step <= ramp and (step % self._every == 0 or step == ramp):
            left = 1 - step / ramp
            prune_globally(self._model, self._final * (1 - left**3))
