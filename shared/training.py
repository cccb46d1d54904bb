"""Training: splits, mixed samples, learning rates and one loop for every session.

Sources: mixup, Zhang et al. (2018), equation 1; CutMix, Yun et al. (2019), section 3.1; cosine
annealing, Loshchilov & Hutter (2017), equation 5.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from shared.checks import check_choice, check_fraction, check_int, check_shape
from shared.data import TensorBatches
from shared.evaluation import device_of, evaluate
from shared.records import History
from shared.seeding import isolated_rng

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]


def split(n: int, validation_fraction: float, seed: int) -> tuple[list[int], list[int]]:
    """(training, validation) indices: 0..n-1 shuffled and cut in two.

    round(n * validation_fraction) indices, half to even, are for validation. The same `seed`
    gives the same split; no global generator moves.

    Raises ValueError if n < 0 or the fraction is outside 0..1.
    """
    check_int("n", n, 0)
    check_fraction("validation_fraction", validation_fraction)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    held = round(n * validation_fraction)
    return order[held:], order[:held]


# ---- mixed samples -------------------------------------------------------------------------


def mixup(
    images: Tensor, targets: Tensor, lam: float, permutation: Tensor
) -> tuple[Tensor, Tensor]:
    """Blend each image and target with that of `permutation`: lam * a + (1 - lam) * b.

    Args:
        images: float (N, C, H, W).
        targets: class probabilities, float (N, classes).
        lam: 0..1, the share of the original.
        permutation: int64 (N,).

    Returns:
        New images and soft targets, shapes and dtypes as given.

    Raises:
        ValueError: shapes that do not match, or lam outside 0..1.
    """
    _check_mix(images, targets, lam, permutation)
    return (
        lam * images + (1 - lam) * images[permutation],
        lam * targets + (1 - lam) * targets[permutation],
    )


def cutmix(
    images: Tensor, targets: Tensor, lam: float, permutation: Tensor, center: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Paste a box of the permuted images; targets are weighted by the area that was pasted.

    The box reaches half = int(size * sqrt(1 - lam)) // 2 to either side of `center` (row, column)
    in each direction, rows [r - half, r + half), and is clipped at the border; the share of the
    original in the targets is what remains of the image *after* clipping.

    Arguments, result and errors as in `mixup`; `center` must lie in the image.
    """
    _check_mix(images, targets, lam, permutation)
    height, width = images.shape[-2:]
    row, column = center
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"center: expected a pixel of {height} x {width}, got {tuple(center)}")
    rows, columns = _cut(row, height, lam), _cut(column, width, lam)
    mixed = images.clone()
    mixed[..., rows, columns] = images[permutation][..., rows, columns]
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    kept = 1 - area / (height * width)
    return mixed, kept * targets + (1 - kept) * targets[permutation]


def _cut(middle: int, size: int, lam: float) -> slice:
    half = int(size * math.sqrt(1 - lam)) // 2
    return slice(max(middle - half, 0), min(middle + half, size))


def _check_mix(images: Tensor, targets: Tensor, lam: float, permutation: Tensor) -> None:
    check_shape("images", images, "N", "C", "H", "W")
    check_shape("targets", targets, len(images), "C")
    check_shape("permutation", permutation, len(images))
    check_fraction("lam", lam)


# ---- schedule ------------------------------------------------------------------------------


def warmup_cosine(step: int, warmup: int, total: int, peak: float, floor: float = 0.0) -> float:
    """Learning rate at `step`: linear from 0 to `peak`, then half a cosine down to `floor`.

    peak * step / warmup below `warmup`, `floor` from `total` on.

    Raises ValueError if step < 0, warmup < 0 or warmup >= total.
    """
    if step < 0:
        raise ValueError(f"step: expected at least 0, got {step}")
    if not 0 <= warmup < total:
        raise ValueError(f"warmup: expected 0 <= warmup < total = {total}, got {warmup}")
    if step < warmup:
        return peak * step / warmup
    progress = min((step - warmup) / (total - warmup), 1.0)
    return floor + (peak - floor) * 0.5 * (1 + math.cos(math.pi * progress))


# ---- the loop ------------------------------------------------------------------------------


class Batches(Protocol):
    """A DataLoader, a `TensorBatches` or a list of pairs (inputs, class indices)."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Sequence[Tensor]]: ...


@dataclass(frozen=True)
class Recipe:
    """How to train. `lr` is the peak of `warmup_cosine` over all steps, `warmup` in epochs.

    `mix` blends the samples of each batch, lam drawn from Beta(1, 1), and turns targets into
    probabilities of `classes`. With `mixed_precision` the forward pass runs in bfloat16 where
    that is safe (torch.autocast), which needs no loss scaling. `seed` decides mixing, and dropout
    and the like in the model.
    """

    epochs: int
    lr: float = 0.1
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 1.0
    label_smoothing: float = 0.0
    mix: Literal["none", "mixup", "cutmix"] = "none"
    classes: int = 10
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_int("epochs", self.epochs, 0)
        check_choice("optimizer", self.optimizer, _OPTIMIZERS)
        check_choice("mix", self.mix, ("none", *_MIXES))


def fit(
    model: nn.Module,
    train_loader: Batches,
    val_loader: Batches,
    epochs: int,
    lr: float = 0.05,
) -> History:
    """Train `model` in place with SGD and `warmup_cosine`; the validation data is only measured.

    Loaders give pairs (inputs, class indices). The record has one entry per epoch.
    """
    return train(model, train_loader, val_loader, Recipe(epochs, lr=lr))


def train(
    model: nn.Module,
    batches: Batches,
    validation: Batches | None,
    recipe: Recipe,
    *,
    objective: Objective | None = None,
    after_step: Callable[[], object] | None = None,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> History:
    """Train `model` in place, on its own device, and leave it in training mode.

    No global generator moves. With the same recipe, model and batches the result is the same.

    Args:
        model: any network; its parameters that require gradients are trained.
        batches: pairs (inputs, class indices), gone through once per epoch.
        validation: the same, measured after each epoch; without it those lists stay empty.
        recipe: what to do.
        objective: the loss of (model, inputs, targets), a mean over the batch; targets are class
            probabilities if `recipe.mix` blends them. Default: cross-entropy of model(inputs).
        after_step: called after each optimiser step, to apply masks again, say.
        checkpoint: file that is written after each epoch, and continued from if it is there. The
            continued training equals the uninterrupted one if `batches` is a `TensorBatches`.
        progress: show a progress bar.

    Raises:
        ValueError: `batches` is empty, or the checkpoint is of another recipe.
    """
    if len(batches) == 0:
        raise ValueError("batches: expected at least one, got none")
    optimizer = _OPTIMIZERS[recipe.optimizer](model, recipe)
    run = _Run(
        model,
        optimizer,
        recipe,
        objective or partial(_cross_entropy, label_smoothing=recipe.label_smoothing),
        after_step or _nothing,
    )
    history = History()
    if checkpoint is not None and checkpoint.is_file():
        history = _load(checkpoint, run)
    done = len(history.train_loss)
    with _bar(progress, recipe.epochs * len(batches), done * len(batches)) as advance:
        for epoch in range(done, recipe.epochs):
            history.train_loss.append(_train_epoch(run, batches, epoch, advance))
            if validation is not None:
                loss, accuracy = evaluate(model, validation)
                history.val_loss.append(loss)
                history.val_accuracy.append(accuracy)
            if checkpoint is not None:
                _save(checkpoint, run, history)
    return history


@dataclass(frozen=True)
class _Run:
    """What stays the same over all steps of one training."""

    model: nn.Module
    optimizer: Optimizer
    recipe: Recipe
    objective: Objective
    after_step: Callable[[], object]


def _train_epoch(run: _Run, batches: Batches, epoch: int, advance: Callable[[], object]) -> float:
    """One pass over `batches`; the mean loss per sample."""
    if isinstance(batches, TensorBatches):
        batches.epoch = epoch
    draws = random.Random(f"{run.recipe.seed} {epoch}")
    device = device_of(run.model)
    total, count = torch.zeros((), dtype=torch.float64, device=device), 0
    run.model.train()
    with isolated_rng(draws.randrange(2**32)):
        for step, (inputs, targets) in enumerate(batches, start=epoch * len(batches)):
            _set_rate(run, step, len(batches))
            loss = _step(run, inputs.to(device), targets.to(device), draws)
            total += loss.double() * len(inputs)  # stays on the device: nothing waits for it
            count += len(inputs)
            advance()
    return total.item() / count


def _step(run: _Run, inputs: Tensor, targets: Tensor, draws: random.Random) -> Tensor:
    mix = _MIXES.get(run.recipe.mix)
    if mix is not None:
        inputs, targets = mix(inputs, targets, run.recipe.classes, draws)
    with torch.autocast(inputs.device.type, torch.bfloat16, run.recipe.mixed_precision):
        loss = run.objective(run.model, inputs, targets)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    run.optimizer.step()
    run.after_step()
    return loss.detach()


def _set_rate(run: _Run, step: int, steps_per_epoch: int) -> None:
    total = run.recipe.epochs * steps_per_epoch
    warmup = min(round(run.recipe.warmup * steps_per_epoch), total - 1)
    for group in run.optimizer.param_groups:
        group["lr"] = warmup_cosine(step, warmup, total, run.recipe.lr)


def _cross_entropy(
    model: nn.Module, inputs: Tensor, targets: Tensor, label_smoothing: float
) -> Tensor:
    return F.cross_entropy(model(inputs).float(), targets, label_smoothing=label_smoothing)


def _nothing() -> None:
    """What is done after a step unless the caller says otherwise."""


# ---- variants ------------------------------------------------------------------------------


def _sgd(model: nn.Module, recipe: Recipe) -> Optimizer:
    return torch.optim.SGD(
        _trainable(model),
        recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.momentum > 0,
    )


def _adamw(model: nn.Module, recipe: Recipe) -> Optimizer:
    return torch.optim.AdamW(_trainable(model), recipe.lr, weight_decay=recipe.weight_decay)


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _mixup(
    inputs: Tensor, targets: Tensor, classes: int, draws: random.Random
) -> tuple[Tensor, Tensor]:
    soft = F.one_hot(targets, classes).to(inputs.dtype)
    return mixup(inputs, soft, draws.random(), _permutation(inputs, draws))


def _cutmix(
    inputs: Tensor, targets: Tensor, classes: int, draws: random.Random
) -> tuple[Tensor, Tensor]:
    soft = F.one_hot(targets, classes).to(inputs.dtype)
    center = draws.randrange(inputs.shape[-2]), draws.randrange(inputs.shape[-1])
    return cutmix(inputs, soft, draws.random(), _permutation(inputs, draws), center)


def _permutation(inputs: Tensor, draws: random.Random) -> Tensor:
    generator = torch.Generator().manual_seed(draws.randrange(2**32))
    return torch.randperm(len(inputs), generator=generator).to(inputs.device)


Mix = Callable[[Tensor, Tensor, int, random.Random], tuple[Tensor, Tensor]]

_OPTIMIZERS: dict[str, Callable[[nn.Module, Recipe], Optimizer]] = {"sgd": _sgd, "adamw": _adamw}
_MIXES: dict[str, Mix] = {"mixup": _mixup, "cutmix": _cutmix}


# ---- checkpoints and progress --------------------------------------------------------------


def _save(path: Path, run: _Run, history: History) -> None:
    state = {
        "recipe": dataclasses.asdict(run.recipe),
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "history": dataclasses.asdict(history),
    }
    save_whole(state, path)


def save_whole(state: object, path: Path) -> None:
    """torch.save through a file beside `path`: a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(path.name + ".part")
    torch.save(state, partial_file)
    partial_file.replace(path)


def _load(path: Path, run: _Run) -> History:
    state = torch.load(path, map_location=device_of(run.model), weights_only=True)
    if state["recipe"] != dataclasses.asdict(run.recipe):
        raise ValueError(f"checkpoint: {path} was written with another recipe; delete or rename it")
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    return History(**state["history"])


@contextmanager
def _bar(show: bool, total: int, done: int) -> Iterator[Callable[[], object]]:
    """A function to call after each step; it moves a bar on the terminal if `show`."""
    if not show:
        yield _nothing
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("training", total=total, completed=done)
        yield lambda: bar.advance(task)
