# Generated from solutions/s7_final_project/plans.py by `autograder release`: change it there.
"""How each data set is trained: the networks, the phases, bits, sparsity; other students beside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from network import SmallResNet
from teacher import Teacher
from windows import Changes, Windows

from shared.data import Dataset, Split, TensorBatches, load_cifar10, load_digits


@dataclass(frozen=True)
class TeacherPlan:
    """The teacher, how it is trained, and of how many windows of each image it is asked."""

    widths: tuple[int, ...]
    phase: Windows
    views: int
    lr: float = 0.3
    weight_decay: float = 1.2e-3
    label_smoothing: float = 0.1
    batch_size: int = 256


@dataclass(frozen=True)
class Plan:
    """How one data set is trained: networks, phases, bits of each stage, final sparsity.

    `inner` are the channels between the two convolutions of the blocks of each stage, by default
    as many as `widths`. With `max_macs`, more inner channels are removed after the floating-point
    phase until one image costs no more multiply-accumulates. `bits` are those of each stage,
    `weight_bits` of its weights alone where they differ. `lr` and `quantised_lr` are those of the
    first cycles.

    A phase is a tuple of (epochs, window): small windows first, because an epoch on windows of
    24 x 24 pixels takes half the time of one on 32 x 32 and teaches nearly as much (progressive
    resizing).
    """

    load: Callable[[], Dataset]
    channels: int
    teacher: TeacherPlan
    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    float_cycles: tuple[Windows, ...]
    quantised_cycles: tuple[Windows, ...]
    bits: tuple[int, ...]
    changes: Changes
    inner: tuple[int, ...] | None = None
    batch_size: int = 128
    groups: int = 1
    edge_bits: int = 8
    weight_bits: tuple[int, ...] | None = None
    sparsity: float = 0.5
    temperature: float = 1.0
    lr: float = 0.1
    float_decay: float = 2e-4
    quantised_lr: float = 0.025
    quantised_decay: float = 1e-4
    max_macs: int | None = None


PLANS = {
    "cifar10": Plan(
        load_cifar10,
        channels=3,
        teacher=TeacherPlan((64, 256, 256), phase=((10, 24), (6, 32)), views=12),
        blocks=(2, 2, 2),
        widths=(16, 32, 64),
        float_cycles=(((200, 24), (40, 28), (60, 32)),),
        quantised_cycles=(((48, 24), (6, 28), (10, 32)), ((10, 32),)),
        bits=(4, 4, 4),
        changes=Changes(offsets=9, mirror=True, brightness=0.1, noise=0.004),
        lr=0.2,
        quantised_lr=0.06,
        max_macs=18_200_000,
    ),
    "digits": Plan(
        load_digits,
        channels=1,
        teacher=TeacherPlan((32, 64), phase=((15, 8),), views=9, batch_size=64),
        blocks=(1, 1),
        widths=(8, 16),
        float_cycles=(((15, 8),),),
        quantised_cycles=(((15, 8),),),
        bits=(4, 4),
        changes=Changes(offsets=3, mirror=False),
        batch_size=64,
        max_macs=110_000,
    ),
}

_NARROW = replace(
    PLANS["cifar10"],
    blocks=(3, 3, 3),
    widths=(12, 24, 48),
    inner=(4, 10, 28),
    sparsity=0.4,
    max_macs=None,
)
OTHER_STUDENTS: dict[str, dict[str, Plan]] = {
    "cifar10": {"narrow": _NARROW, "ternary": replace(_NARROW, weight_bits=(4, 4, 2))},
    "digits": {
        "ternary": replace(PLANS["digits"], weight_bits=(4, 2)),
        "wide": replace(PLANS["digits"], widths=(12, 24), max_macs=250_000),
    },
}
"""Of the same teacher, for a front of accuracy against cost."""


def chosen(
    dataset: str, student: str | None = None, length: float = 1.0, batch_size: int | None = None
) -> Plan:
    """The plan of a data set, or of one of its other students, in `length` times the epochs.

    Every part of a student's phases keeps one epoch at least; the teacher's stay as they are. The
    learning rates grow with `batch_size` (Goyal et al., "Accurate, large minibatch SGD", 2017).
    """
    plan = PLANS[dataset] if student is None else OTHER_STUDENTS[dataset][student]
    size = batch_size or plan.batch_size
    larger = size / plan.batch_size

    def scaled(phase: Windows) -> Windows:
        return tuple((max(1, round(length * count)), size) for count, size in phase)

    return replace(
        plan,
        batch_size=size,
        lr=plan.lr * larger,
        quantised_lr=plan.quantised_lr * larger,
        float_cycles=tuple(map(scaled, plan.float_cycles)),
        quantised_cycles=tuple(map(scaled, plan.quantised_cycles)),
    )


def centred(dataset: Dataset) -> Dataset:
    """The data set with pixels scaled as (p - peak / 2) / (peak / 4).

    So the exported network needs one DequantizeLinear in front, with a zero point of peak / 2.
    """
    channels = dataset.train.images.shape[1]
    middle = (dataset.peak + 1) // 2 / dataset.peak
    spread = (dataset.peak + 1) // 4 / dataset.peak
    return replace(dataset, mean=(middle,) * channels, std=(spread,) * channels)


def both(data: Dataset) -> Split:
    """Training images, then validation images."""
    parts = (data.train, data.validation)
    return Split(torch.cat([p.images for p in parts]), torch.cat([p.labels for p in parts]))


def prepare(plan: Plan, hold_out: bool) -> tuple[Dataset, Split, TensorBatches | None]:
    """The data, what to train on, and what is held out: without `hold_out` nothing is."""
    data = centred(plan.load())
    if hold_out:
        return data, data.train, TensorBatches(data, data.validation, 500)
    return data, both(data), None


def build(plan: Plan, seed: int = 0) -> SmallResNet:
    """The network of a plan before training."""
    torch.manual_seed(seed)
    model = SmallResNet(plan.blocks, plan.widths, plan.channels, 10, plan.groups, plan.inner)
    return model.to(memory_format=torch.channels_last)


def build_teacher(plan: Plan, seed: int = 0) -> Teacher:
    """The teacher of a plan before training."""
    torch.manual_seed(seed)
    model = Teacher(plan.teacher.widths, plan.channels, mirror=plan.changes.mirror)
    return model.to(memory_format=torch.channels_last)
