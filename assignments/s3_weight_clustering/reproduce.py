# Generated from solutions/s3_weight_clustering/reproduce.py by `autograder release`: change it there.
"""Reproduce Deep Compression on MNIST with the functions of this session, then go further.

    python reproduce.py lenet300            # about three minutes on one processor core
    python reproduce.py lenet5 --seed 1     # about ten

Train a dense network, then in rounds: prune to lower densities while training (Zhu and Gupta,
2017), share weights, fine-tune the codebooks, write the file. The first round has the densities of
the paper's tables 2 and 3; the later ones go beyond it. Every file is read back before its
accuracy is measured. Needs MNIST in the folder that COURSE_DATA names.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from clustering import centroid_gradient, cluster_nonzero, decode_clusters
from deep_compression import compress, decompress, stage_report
from torch import Tensor, nn

from shared.data import Dataset, TensorBatches, load_mnist
from shared.evaluation import evaluate
from shared.models import LeNet5, LeNet300
from shared.training import Recipe, train

INTERVAL = 50
"""Steps between two prunings while the density falls."""
TUNING_LR = 1e-4
"""Learning rate of the codebooks."""


@dataclass(frozen=True)
class Round:
    """Prune to `densities` (share kept, by layer) in `epochs`, then share with 2**bits values."""

    name: str
    densities: Mapping[str, float]
    epochs: int
    bits: Mapping[str, int]


@dataclass(frozen=True)
class Plan:
    """A network, its dense training, which all rounds repeat, and its rounds of compression."""

    network: type[nn.Module]
    batch_size: int
    recipe: Recipe
    rounds: tuple[Round, ...]


@dataclass(frozen=True)
class Result:
    """One file: bytes of the stages (see `stage_report`), nonzeros, and accuracies in 0..1."""

    name: str
    stages: Mapping[str, int]
    nonzeros: int
    validation: float
    test: float

    def ratio(self, stage: str) -> float:
        """How many times smaller than dense float32."""
        return self.stages["dense"] / self.stages[stage]


# Plain SGD with weight decay lets the magnitude of a weight say how much it matters. Adam, whose
# steps are as long for weights without use, pruned LeNet-300-100 clearly worse.
PLANS = {
    "lenet300": Plan(
        LeNet300,
        128,
        Recipe(12, lr=0.1, weight_decay=5e-4),
        (
            Round(
                "paper",
                {"fc1": 0.08, "fc2": 0.09, "fc3": 0.26},
                12,
                {"fc1": 5, "fc2": 5, "fc3": 5},
            ),
            Round(
                "further",
                {"fc1": 0.055, "fc2": 0.08, "fc3": 0.26},
                16,
                {"fc1": 4, "fc2": 4, "fc3": 4},
            ),
        ),
    ),
    "lenet5": Plan(
        LeNet5,
        256,
        Recipe(4, lr=3e-3, optimizer="adamw", weight_decay=0.01, label_smoothing=0.1),
        (
            Round(
                "paper",
                {"conv1": 0.66, "conv2": 0.12, "fc1": 0.08, "fc2": 0.19},
                5,
                {"conv1": 5, "conv2": 5, "fc1": 4, "fc2": 4},
            ),
            Round(
                "further",
                {"conv1": 0.4, "conv2": 0.07, "fc1": 0.02, "fc2": 0.15},
                6,
                {"conv1": 4, "conv2": 4, "fc1": 4, "fc2": 4},
            ),
        ),
    ),
}


# ---- pruning -----------------------------------------------------------------------------------


class Pruner:
    """Called after each optimiser step: lowers the densities, keeps pruned weights at 0.

    The sparsity follows the cubic schedule of Zhu and Gupta (2017) from the start density during
    the first half of `steps`, a layer at a time by magnitude; then the masks stay.
    """

    def __init__(self, model: nn.Module, densities: Mapping[str, float], steps: int) -> None:
        self.weights = {name: model.get_submodule(name).weight for name in densities}
        self.start = {name: _density(weight) for name, weight in self.weights.items()}
        self.end = densities
        self.ramp = steps // 2
        self.step = 0
        self.masks = {name: weight != 0 for name, weight in self.weights.items()}

    @torch.no_grad()
    def __call__(self) -> None:
        """Prune further where it is time to, and apply the masks."""
        self.step += 1
        if self.step <= self.ramp and (self.step % INTERVAL == 0 or self.step == self.ramp):
            left = (1 - self.step / self.ramp) ** 3
            for name, weight in self.weights.items():
                density = self.end[name] + (self.start[name] - self.end[name]) * left
                self.masks[name] = _largest(weight, density)
        for name, weight in self.weights.items():
            weight.mul_(self.masks[name])


def _density(weight: Tensor) -> float:
    return int(weight.count_nonzero()) / weight.numel()


def _largest(weight: Tensor, density: float) -> Tensor:
    """A mask of the `density` * n weights of largest magnitude."""
    kept = weight.abs().flatten().topk(round(density * weight.numel())).indices
    mask = torch.zeros(weight.numel(), dtype=torch.bool)
    mask[kept] = True
    return mask.reshape(weight.shape)


# ---- weight sharing ----------------------------------------------------------------------------


def share(
    model: nn.Module, bits: Mapping[str, int], batches: TensorBatches, label_smoothing: float
) -> None:
    """Cluster each layer's nonzero weights, then train codebooks and biases for an epoch."""
    weights = {name: model.get_submodule(name).weight for name in bits}
    biases = [each for each in model.parameters() if each.dim() < 2]
    labels, codebooks = {}, {}
    for name, weight in weights.items():
        codebooks[name], labels[name] = cluster_nonzero(weight.detach(), weight != 0, bits[name])
    optimizer = torch.optim.Adam([*codebooks.values(), *biases], TUNING_LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))

    def decode() -> None:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(decode_clusters(codebooks[name], labels[name], weight.shape))

    decode()
    model.train()
    for images, targets in batches:
        model.zero_grad()
        loss = F.cross_entropy(model(images), targets, label_smoothing=label_smoothing)
        loss.backward()
        for name, weight in weights.items():
            codebook = codebooks[name]
            codebook.grad = centroid_gradient(weight.grad, labels[name], len(codebook))
            codebook.grad[0] = 0.0  # the centroid of pruned weights is 0 and stays there
        optimizer.step()
        schedule.step()
        decode()


# ---- the experiment ----------------------------------------------------------------------------


def reproduce(plan: Plan, data: Dataset, seed: int = 0) -> Iterator[Result]:
    """Yield the dense network's result, then that of each round; `name` says which."""
    torch.manual_seed(seed)
    model = plan.network()
    batches = TensorBatches(data, data.train, plan.batch_size, seed=seed)
    train(model, batches, None, plan.recipe)
    yield _result("dense", model, model.state_dict(), data, {"dense": _dense_bytes(model)})
    for each in plan.rounds:
        recipe = replace(
            plan.recipe, epochs=each.epochs, weight_decay=plan.recipe.weight_decay / 2
        )  # fewer weights need less of it
        pruner = Pruner(model, each.densities, each.epochs * len(batches))
        train(model, batches, None, recipe, after_step=pruner)
        shared = copy.deepcopy(model)
        share(shared, each.bits, batches, recipe.label_smoothing)
        # Nothing is left to prune or to cluster for the file: it holds exactly this network.
        bits = max(each.bits.values())
        state = shared.state_dict()
        decoded = decompress(compress(state, 0.0, bits))
        yield _result(each.name, shared, decoded, data, stage_report(state, 0.0, bits))


def _dense_bytes(model: nn.Module) -> int:
    return sum(4 * each.numel() for each in model.state_dict().values())


def _result(
    name: str,
    model: nn.Module,
    state: Mapping[str, Tensor],
    data: Dataset,
    stages: Mapping[str, int],
) -> Result:
    model = copy.deepcopy(model)
    model.load_state_dict(dict(state))
    accuracies = [
        evaluate(model, TensorBatches(data, split, 1000))[1]
        for split in (data.validation, data.test)
    ]
    nonzeros = sum(int(each.count_nonzero()) for each in model.parameters())
    return Result(name, stages, nonzeros, *accuracies)


def main() -> None:
    """Read the arguments, run one plan, print a line for each file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=PLANS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    for each in reproduce(PLANS[options.network], load_mnist(), options.seed):
        parts = [f"{stage} {each.ratio(stage):.1f}x" for stage in list(each.stages)[1:]]
        sys.stdout.write(
            f"{each.name:10} {each.nonzeros:9,} nonzeros, error {1 - each.validation:.2%}"
            f" (validation) {1 - each.test:.2%} (test), {list(each.stages.values())[-1]:9,} bytes"
            f" {', '.join(parts)} [{time.perf_counter() - started:.0f} s]\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
