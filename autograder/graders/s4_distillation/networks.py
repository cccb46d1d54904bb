"""Teachers, students and data of session 4's training graders."""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.graders.common import digits
from autograder.graders.toolkit import Handle, RandomInputs, check, fail
from shared.models import MLP, DigitsCNN
from shared.probes import Tap
from shared.seeding import isolated_rng


@functools.cache
def _trained(kind: type[nn.Module], *args: Any) -> nn.Module:
    """A network that reads the digits as they are in the data set; made once a process."""
    images, targets = digits()
    with isolated_rng(0):
        network = kind(*args)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
        for _ in range(8):
            for chosen in torch.randperm(1000).reshape(-1, 50):
                optimizer.zero_grad()
                loss: Tensor = F.cross_entropy(network(images[chosen]), targets[chosen])
                torch.autograd.backward(loss)
                optimizer.step()
    return network.eval()


@dataclass(frozen=True)
class View:
    """A way to look at digits that nobody can foresee: turned, mirrored, classes renamed.

    A network that was trained before on the public data set is no use on such digits. A teacher
    of the plain ones becomes one of these by the same change of its weights.
    """

    turns: int
    mirrored: bool
    names: Tensor

    @classmethod
    def of(cls, rng: RandomInputs) -> View:
        """One at random, but not the plain one."""
        return cls(rng.integer(1, 3), rng.integer(0, 1) == 1, rng.permutation(10))

    def images(self, plain: Tensor) -> Tensor:
        """The last two dimensions turned."""
        turned = torch.rot90(plain, self.turns, (-2, -1))
        return (turned.flip(-1) if self.mirrored else turned).contiguous()

    def digits(self, rng: RandomInputs) -> tuple[Tensor, Tensor]:
        """All digits in random order."""
        images, targets = digits()
        order = rng.permutation(len(targets))
        return self.images(images[order]), self.names[targets[order]]

    def _renamed(self, last: nn.Module) -> None:
        for values in (last.weight, last.bias):
            assert isinstance(values, nn.Parameter)
            values.data[self.names] = values.data.clone()

    def teacher(self) -> MLP:
        """A wide network that reads these digits."""
        network = copy.deepcopy(_trained(MLP, (64, 128, 10)))
        assert isinstance(network, MLP)
        first = network.layers[0]
        assert isinstance(first, nn.Linear)
        first.weight.data = self.images(first.weight.data.reshape(-1, 8, 8)).reshape(-1, 64)
        self._renamed(network.layers[-1])
        return network

    def convolutional_teacher(self) -> DigitsCNN:
        """A convolutional network with batch norm that reads these digits."""
        network = copy.deepcopy(_trained(DigitsCNN, 8))
        assert isinstance(network, DigitsCNN)
        for layer in network.features:
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = self.images(layer.weight.data)
        self._renamed(network.classifier)
        return network


def mislabelled(targets: Tensor, share: float, rng: RandomInputs) -> Tensor:
    """`targets` of 10 classes, exactly this share of them replaced by another class."""
    count = round(share * len(targets))
    wrong = targets.clone()
    chosen = rng.permutation(len(targets))[:count]
    wrong[chosen] = (wrong[chosen] + rng.integers(1, 9, count)) % 10
    return wrong


class Watch:
    """What passes a `Tap`: the batches, and whether the network was in training mode."""

    def __init__(self) -> None:
        self.batches: list[Tensor] = []
        self.training: list[bool] = []

    def __call__(self, training: bool, batch: Tensor) -> None:
        """Note one batch."""
        self.training.append(training)
        self.batches.append(batch)

    def on(self, network: nn.Module) -> nn.Sequential:
        """`network` behind a tap."""
        return nn.Sequential(Tap(self), network)

    def images(self) -> set[bytes]:
        """The different images that passed."""
        return {row.numpy().tobytes() for batch in self.batches for row in batch}


def rows(images: Tensor) -> set[bytes]:
    """The different images of a batch, as `Watch.images` has them."""
    return {row.contiguous().numpy().tobytes() for row in images}


def returned(student: Any, result: object, like: nn.Module) -> nn.Module:
    """`like` with the state of the network that came back: ours, only numbers are taken over."""
    state: object = None
    if isinstance(result, Handle):
        state = student.invoke(result, "state_dict")
    elif isinstance(result, nn.Module):
        state = dict(result.state_dict())
    hint = "return the student network, trained"
    if not isinstance(state, dict):
        fail(hint)
    expected = like.state_dict()
    check(state.keys() == expected.keys(), hint)
    for name, values in expected.items():
        fits = isinstance(state[name], Tensor) and state[name].shape == values.shape
        check(fits, hint)
    after = copy.deepcopy(like)
    after.load_state_dict(state)
    return after


def moved(before: nn.Module, after: nn.Module) -> float:
    """How far the parameters are from each other."""
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    with torch.no_grad():
        return math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))


def same_state(one: dict[str, Tensor], other: dict[str, Tensor], atol: float = 0.0) -> bool:
    """Whether two states hold the same names and, within `atol`, the same numbers."""
    return one.keys() == other.keys() and all(
        isinstance(one[name], Tensor)
        and one[name].shape == other[name].shape
        and torch.allclose(one[name].double(), other[name].double(), rtol=0.0, atol=atol)
        for name in one
    )
