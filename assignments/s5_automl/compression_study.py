# Generated from solutions/s5_automl/compression_study.py by `autograder release`: change it there.
"""A real search: sparsity and bits for each layer of a small network, under a size limit.

    python compression_study.py study.db               # 120 trials; stop it and go on at any time
    python compression_study.py study.db --trials 200  # 80 more

Optuna keeps every trial in the SQLite file, so a study that was killed goes on where it was. What
it chooses is compared with the best *uniform* setting, one sparsity and one width for all layers,
under the same limit. Validation images choose, test images are looked at once, in the end.
"""

from __future__ import annotations

import argparse
import copy
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import torch
from torch import Tensor, nn

from shared.data import TensorBatches, load_digits
from shared.models import DigitsCNN
from shared.seeding import isolated_rng
from shared.training import Recipe, train

SPARSITIES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
BITS = (2, 3, 4, 5, 6, 8)
LIMIT = 5_000
"""Bytes of all weights together; 57,000 as float32."""

Setting = tuple[float, int]
"""Sparsity and bits of one layer."""


@dataclass(frozen=True)
class Measured:
    """Accuracies in 0..1; `size` in bytes."""

    accuracy: float
    test_accuracy: float
    size: int


@functools.cache
def trained_network() -> DigitsCNN:
    """A small network for the digits, always the same one."""
    data = load_digits()
    with isolated_rng(0):
        network = DigitsCNN(16)
    train(network, TensorBatches(data, data.train, 64, seed=0), None, Recipe(12, lr=0.05))
    return network.eval()


def layers(network: nn.Module) -> list[nn.Module]:
    """Layers whose weights are compressed, in order."""
    return [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def compressed_weight(weight: Tensor, sparsity: float, bits: int) -> Tensor:
    """The smallest magnitudes are 0, the others on a symmetric grid for each output channel."""
    pruned = round(sparsity * weight.numel())
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[weight.abs().flatten().argsort()[:pruned]] = False
    kept = weight * mask.view(weight.shape)
    top = 2 ** (bits - 1) - 1
    scale = kept.flatten(1).abs().amax(1).clamp_min(1e-12).view(-1, *[1] * (weight.dim() - 1)) / top
    return (kept / scale).round() * scale


def size_in_bytes(network: nn.Module, settings: Sequence[Setting]) -> int:
    """Codes of the kept weights, one bit an element to say which these are, scales as float32."""
    bits = 0
    for layer, (sparsity, width) in zip(layers(network), settings):
        weight: Tensor = layer.weight  # type: ignore[assignment]
        kept = weight.numel() - round(sparsity * weight.numel())
        bits += kept * width + (weight.numel() if sparsity else 0) + 32 * len(weight)
    return -(-bits // 8)


def measure(settings: Sequence[Setting]) -> Measured:
    """Compress a copy of the network, fit its batch norm statistics, and count right answers."""
    from policies import recalibrate_batchnorm

    data, network = load_digits(), copy.deepcopy(trained_network())
    with torch.no_grad():
        for layer, (sparsity, bits) in zip(layers(network), settings):
            weight: Tensor = layer.weight  # type: ignore[assignment]
            weight.copy_(compressed_weight(weight, sparsity, bits))
    part = data.train.take(torch.arange(512))
    batches = list(TensorBatches(data, part, 128))
    recalibrate_batchnorm(network, [images for images, _ in batches])
    found = []
    with torch.no_grad():
        for split in (data.validation, data.test):
            ((images, labels),) = TensorBatches(data, split, len(split))
            found.append(float((network.eval()(images).argmax(1) == labels).double().mean()))
    return Measured(*found, size_in_bytes(network, settings))


# ---- the study -----------------------------------------------------------------------------------


def open_study(path: Path, seed: int = 0) -> optuna.Study:
    """The study in an SQLite file, new or as it was left; trials that were cut off are failed."""
    study = optuna.create_study(
        study_name="sparsity and bits",
        storage=f"sqlite:///{path}",
        direction="maximize",
        load_if_exists=True,
    )
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    # Another seed after each start: else the same proposals would come again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), multivariate=False)
    return study


def run(study: optuna.Study, trials: int, limit: int = LIMIT) -> None:
    """Go on until there are so many complete trials."""
    network = trained_network()
    names = [f"layer {number}" for number, _ in enumerate(layers(network), start=1)]
    complete = (optuna.trial.TrialState.COMPLETE,)
    while len(study.get_trials(deepcopy=False, states=complete)) < trials:
        trial = study.ask()
        settings = [
            (
                trial.suggest_categorical(f"{name} sparsity", SPARSITIES),
                trial.suggest_categorical(f"{name} bits", BITS),
            )
            for name in names
        ]
        found = measure(settings)
        trial.set_constraint("size", found.size - limit)
        trial.set_user_attr("size", found.size)
        trial.set_user_attr("settings", settings)
        study.tell(trial, found.accuracy)


def best_settings(study: optuna.Study, limit: int = LIMIT) -> list[Setting] | None:
    """Of the trials within the limit the most accurate one, of equals the smallest."""
    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    feasible = [trial for trial in complete if trial.user_attrs["size"] <= limit]
    if not feasible:
        return None
    best = max(feasible, key=lambda trial: (trial.value, -trial.user_attrs["size"]))
    return [(float(sparsity), int(bits)) for sparsity, bits in best.user_attrs["settings"]]


def best_uniform(limit: int = LIMIT) -> tuple[Setting, Measured] | None:
    """The most accurate setting that all layers share, within the limit."""
    network = trained_network()
    count = len(layers(network))
    tried = [
        ((sparsity, bits), measure([(sparsity, bits)] * count))
        for sparsity in SPARSITIES
        for bits in BITS
        if size_in_bytes(network, [(sparsity, bits)] * count) <= limit
    ]
    return max(tried, key=lambda each: (each[1].accuracy, -each[1].size), default=None)


def main() -> int:
    """Go on with the study of the given file, then compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("file", type=Path, help="of the study; made if it is not there")
    parser.add_argument("--trials", type=int, default=120, help="complete trials in the end")
    parser.add_argument("--limit", type=int, default=LIMIT, help="bytes of all weights")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    study = open_study(options.file)
    run(study, options.trials, options.limit)
    chosen, uniform = best_settings(study, options.limit), best_uniform(options.limit)
    if chosen is None or uniform is None:
        sys.stdout.write(f"nothing found below {options.limit:,} bytes\n")
        return 1
    for name, settings, found in (
        ("per layer", chosen, measure(chosen)),
        ("uniform", [uniform[0]], uniform[1]),
    ):
        text = ", ".join(f"{sparsity:.0%}/{bits}b" for sparsity, bits in settings)
        sys.stdout.write(
            f"{name:10} {found.size:6,} bytes  validation {found.accuracy:.2%}"
            f"  test {found.test_accuracy:.2%}  ({text})\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
