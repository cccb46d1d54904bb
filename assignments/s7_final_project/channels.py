# Generated from solutions/s7_final_project/channels.py by `autograder release`: change it there.
"""Structured pruning: the inner channels of the blocks that the loss needs least are removed.

An unstructured zero is stored for nothing but still multiplied; a channel that is gone costs
nothing at all. Only the channels between the two convolutions of a block can go, because nothing
else reads them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from network import Block, SmallResNet
from quantised import ConvNorm
from torch import Tensor

from shared.profiling import profile_layers


def channel_importance(
    model: SmallResNet, batches: Iterable[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """How much the loss would change without each inner channel, to first order.

    The mean over samples of (sum over pixels of z * dL/dz)^2 (Molchanov et al., "Pruning
    convolutional neural networks for resource efficient inference", ICLR 2017, eq. 8, squared as
    in "Importance estimation for neural network pruning", CVPR 2019).

    Args:
        model: not quantised; in eval mode while this runs, its own mode comes back.
        batches: inputs (N, channels, H, W) and class indices (N,).

    Returns:
        For each block in order float64 (inner,), at least 0.
    """
    blocks = blocks_of(model)
    scores = [torch.zeros(block.second.conv.in_channels, dtype=torch.float64) for block in blocks]
    seen: dict[int, Tensor] = {}

    def keep(place: int, z: Tensor) -> None:
        z.retain_grad()
        seen[place] = z

    hooks = [
        block.middle.register_forward_hook(lambda _m, _i, z, place=place: keep(place, z))
        for place, block in enumerate(blocks)
    ]
    mode, count = model.training, 0
    try:
        model.eval()
        for inputs, targets in batches:
            F.cross_entropy(model(inputs), targets, reduction="sum").backward()  # type: ignore[no-untyped-call]
            for place, z in seen.items():
                assert z.grad is not None
                change = (z.detach() * z.grad).sum(dim=(2, 3)).double()
                scores[place] += change.square().sum(dim=0).cpu()
            count += len(targets)
    finally:
        model.train(mode)
        model.zero_grad()
        for hook in hooks:
            hook.remove()
    return [score / max(count, 1) for score in scores]


def choose_channels(
    importance: Sequence[Tensor], costs: Sequence[float], saving: float, multiple: int = 8
) -> list[Tensor]:
    """The inner channels to keep, so that at least `saving` is saved.

    Removes `multiple` channels of one block at a time, always those that matter least for what
    they cost; each block keeps at least as many.

    Args:
        importance: for each block (inner,).
        costs: what one inner channel of each block costs, in MACs or whatever `saving` counts.

    Returns:
        For each block int64 indices in rising order.

    Raises:
        ValueError: so much cannot be saved.
    """
    orders = [score.argsort() for score in importance]  # least important first
    gone = [0] * len(orders)
    saved = 0.0
    while saved < saving:
        _, place = min(
            (
                (float(score[order[lost : lost + multiple]].sum()) / cost, place)
                for place, (score, order, lost, cost) in enumerate(
                    zip(importance, orders, gone, costs, strict=True)
                )
                if len(order) - lost >= 2 * multiple
            ),
            default=(0.0, -1),
        )
        if place < 0:
            raise ValueError(f"saving: at most {saved:,.0f} can be saved, not {saving:,.0f}")
        gone[place] += multiple
        saved += multiple * costs[place]
    return [order[lost:].sort().values for order, lost in zip(orders, gone, strict=True)]


def without_channels(model: SmallResNet, kept: Sequence[Tensor]) -> SmallResNet:
    """A copy of `model` whose blocks have the inner channels `kept` alone."""
    slim = copy.deepcopy(model)
    for block, channels in zip(blocks_of(slim), kept, strict=True):
        block.first = _selected(block.first, channels, outputs=True)
        block.second = _selected(block.second, channels, outputs=False)
    return slim


def slimmed(
    model: SmallResNet,
    batches: Iterable[tuple[Tensor, Tensor]],
    input_shape: tuple[int, int, int],
    max_macs: int,
) -> SmallResNet:
    """`model` with at most `max_macs` multiply-accumulates for one image of `input_shape`.

    The copy is what remains; training has to repair it.
    """
    macs = {row.name: row.macs for row in profile_layers(model, (1, *input_shape))}
    names = {module: name for name, module in model.named_modules()}
    costs = [
        sum(macs[names[layer]] for layer in (block.first, block.second))
        / block.second.conv.in_channels
        for block in blocks_of(model)
    ]
    importance = channel_importance(model, batches)
    kept = choose_channels(importance, costs, sum(macs.values()) - max_macs)
    return without_channels(model, kept)


def blocks_of(model: SmallResNet) -> list[Block]:
    """The residual blocks in order."""
    return [module for module in model.modules() if isinstance(module, Block)]


@torch.no_grad()
def _selected(layer: ConvNorm, channels: Tensor, outputs: bool) -> ConvNorm:
    """A layer with some of its outputs, or some of its inputs."""
    conv = layer.conv
    if conv.groups != 1:
        raise ValueError("groups: only channels of convolutions without groups can be removed")
    sizes = (len(channels), conv.out_channels) if not outputs else (conv.in_channels, len(channels))
    new = ConvNorm(*sizes, conv.kernel_size[0], conv.stride[0]).to(conv.weight.device)
    state = layer.state_dict()
    for name, value in state.items():
        if outputs and value.dim() > 0 and len(value) == conv.out_channels:
            state[name] = value[channels]
        elif not outputs and value.dim() == 4 and value.shape[1] == conv.in_channels:
            state[name] = value[:, channels]
    new.load_state_dict(state)
    return new.train(layer.training).to(memory_format=torch.channels_last)
