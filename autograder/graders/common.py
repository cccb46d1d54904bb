"""What the graders of several sessions need: drawn layers, the embedded digits, loaders."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.toolkit import Handle, RandomInputs, fail
from shared.data import load_digits
from shared.seeding import isolated_rng

M = TypeVar("M", bound=nn.Module)
Batches = DataLoader[tuple[Tensor, ...]]


def drawn(model: M, rng: RandomInputs) -> M:
    """`model`, its floating parameters and batch norm statistics drawn from `rng`, in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(rng.normal(*parameter.shape))
        for module in model.modules():
            if (
                isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
                and module.running_var is not None
            ):
                assert module.running_mean is not None
                module.running_mean.copy_(rng.normal(module.num_features))
                module.running_var.copy_(rng.uniform(module.num_features, low=0.5, high=2.0))
    return model


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    """All embedded digits, images float32 in 0..1 and labels."""
    data = load_digits().scaled()
    parts = (data.train, data.validation, data.test)
    return torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])


def scrambled_digits(rng: RandomInputs) -> tuple[Tensor, Tensor]:
    """The embedded digits, shuffled, all images turned or mirrored alike, and classes renamed.

    A network that was trained before on the public data set is no use on them.
    """
    images, labels = digits()
    order = rng.permutation(len(labels))
    turned = torch.rot90(images[order], rng.integer(0, 3), (2, 3))
    if rng.integer(0, 1):
        turned = turned.flip(3)
    return turned.contiguous(), rng.permutation(10)[labels[order]]


def built(kind: Callable[[], M], rng: RandomInputs) -> M:
    """A network with PyTorch's own initialisation, drawn from `rng`."""
    with isolated_rng(rng.seed()):
        return kind()


def shuffling(images: Tensor, targets: Tensor, batch: int, rng: RandomInputs) -> Batches:
    """A loader for training."""
    order = torch.Generator().manual_seed(rng.seed())
    data = TensorDataset(images, targets)
    return DataLoader(data, batch_size=batch, shuffle=True, generator=order)


def in_order(images: Tensor, targets: Tensor, batch: int) -> Batches:
    """A loader for evaluation; the last batch may be smaller."""
    return DataLoader(TensorDataset(images, targets), batch_size=batch)


def accuracy(model: nn.Module, images: Tensor, targets: Tensor) -> float:
    """Share of right predictions in eval mode."""
    with torch.no_grad():
        return float((model.eval()(images).argmax(dim=1) == targets).double().mean())


def remote_generator(student: Any, seed: int) -> Handle:
    """A seeded torch.Generator in the student's process: that of a loader over there."""
    own = torch.Generator().manual_seed(seed)
    loader = student.put(
        DataLoader(TensorDataset(torch.zeros(1)), batch_size=1, shuffle=True, generator=own)
    )
    result = student.get(Handle(loader.name, "DataLoader"), "generator")
    if not isinstance(result, Handle):
        fail("your code changed what a loader is")
    return result
