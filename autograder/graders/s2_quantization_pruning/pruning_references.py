"""Weights, networks and slow references of the pruning graders.

Nothing here shares code with `shared` or with the solution: elements are ranked one by one with
Python's `sorted`, and layers are cut index by index.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autograder.graders.toolkit import (
    Handle,
    Optimizer,
    RandomInputs,
    Ref,
    check,
    expect_dict,
    expect_tensor,
    fail,
)

Masks = dict[str, Tensor]

# ---- weights -------------------------------------------------------------------------------


def signed(rng: RandomInputs, *shape: int) -> Tensor:
    """Float32 weights of both signs whose magnitudes differ, by 1/61, and need all their bits."""
    n = math.prod(shape)
    magnitudes = (rng.permutation(n) + 1 + rng.integer(0, 8)) / 61
    return (magnitudes * signs(rng, n)).reshape(shape)


def signs(rng: RandomInputs, n: int) -> Tensor:
    """Float32 (n,) of -1 and 1, both of them there for n > 1."""
    return (rng.permutation(n) % 2) * 2.0 - 1.0


def tied(rng: RandomInputs, levels: int, *shape: int) -> Tensor:
    """Float32 weights of both signs with at most `levels` different magnitudes, none of them 0."""
    n = math.prod(shape)
    return (rng.integers(1, levels, n) / 4 * signs(rng, n)).reshape(shape)


def with_zeros(rng: RandomInputs, weight: Tensor, count: int) -> Tensor:
    """`weight` with `count` of its elements set to 0; some of the zeros are -0.0."""
    flat = weight.flatten().clone()
    for turn, index in enumerate(rng.permutation(flat.numel())[:count].tolist()):
        flat[index] = -0.0 if turn % 2 else 0.0
    return flat.reshape(weight.shape)


def half_counts(rng: RandomInputs) -> list[tuple[int, float]]:
    """(n, share) whose products end in .5 exactly: two of them go down by half to even, two up.

    With an odd n, rounding the share that is left shows up as well.
    """
    a, b = rng.integer(3, 12), rng.integer(2, 6)
    return [(4 * a + 1, 0.5), (4 * a + 3, 0.5), (8 * b + 2, 0.25), (8 * b + 6, 0.25)]


# ---- masks ---------------------------------------------------------------------------------


def smallest(magnitudes: Sequence[float], count: int) -> set[int]:
    """The positions of the `count` smallest numbers; of equal ones, the first."""
    order = sorted(range(len(magnitudes)), key=lambda index: (magnitudes[index], index))
    return set(order[:count])


def mask_without(pruned: set[int], shape: Sequence[int]) -> Tensor:
    """Bool of `shape`, False at the flat indices `pruned`."""
    return torch.tensor([i not in pruned for i in range(math.prod(shape))]).reshape(tuple(shape))


def magnitude_reference(weight: Tensor, sparsity: float) -> Tensor:
    """The mask without the round(sparsity * n) smallest magnitudes."""
    values = [abs(value) for value in weight.flatten().tolist()]
    return mask_without(smallest(values, round(sparsity * len(values))), weight.shape)


def global_reference(weights: Mapping[str, Tensor], sparsity: float) -> Masks:
    """The masks without the round(sparsity * N) smallest magnitudes of all weights."""
    places = [(name, i) for name, weight in weights.items() for i in range(weight.numel())]
    values = [abs(v) for weight in weights.values() for v in weight.flatten().tolist()]
    chosen = smallest(values, round(sparsity * len(values)))
    pruned: dict[str, set[int]] = {name: set() for name in weights}
    for place in chosen:
        name, index = places[place]
        pruned[name].add(index)
    return {name: mask_without(pruned[name], weight.shape) for name, weight in weights.items()}


def groups_along_inputs(tensor: Tensor, m: int) -> list[list[Any]]:
    """Every m consecutive elements along dimension 1, for each place in the other dimensions."""
    found = []
    flat = tensor.reshape(tensor.shape[0], tensor.shape[1], -1)
    for output in range(flat.shape[0]):
        for place in range(flat.shape[2]):
            line = flat[output, :, place].tolist()
            found += [line[start : start + m] for start in range(0, len(line), m)]
    return found


def moved_reference(weight: Tensor, mask: Tensor, gradient: Tensor, fraction: float) -> Tensor:
    """The next mask of dynamic sparse training, by ranking active and inactive weights apart."""
    flat = mask.flatten().tolist()
    active = [i for i, kept in enumerate(flat) if kept]
    inactive = [i for i, kept in enumerate(flat) if not kept]
    count = min(round(fraction * len(active)), len(inactive))
    magnitudes, gradients = weight.flatten().tolist(), gradient.flatten().tolist()
    dropped = sorted(active, key=lambda i: (abs(magnitudes[i]), i))[:count]
    grown = sorted(inactive, key=lambda i: (-abs(gradients[i]), i))[:count]
    result = [(i in grown) or (kept and i not in dropped) for i, kept in enumerate(flat)]
    return torch.tensor(result).reshape(mask.shape)


def random_mask(rng: RandomInputs, *shape: int, share: float = 0.5) -> Tensor:
    """Bool with about `share` of its elements False, of both kinds at least one."""
    n = math.prod(shape)
    count = min(max(round(share * n), 1), n - 1)
    return mask_without(set(rng.permutation(n)[:count].tolist()), shape)


def expect_mask(value: object, name: str, shape: Sequence[int]) -> Tensor:
    """`value` as a bool tensor of this shape."""
    return expect_tensor(value, name, shape, torch.bool)


def expect_masks(value: object, name: str, weights: Mapping[str, Tensor]) -> Masks:
    """`value` as a dict with one mask for each of `weights`."""
    masks = expect_dict(value, name, list(weights))
    return {
        key: expect_mask(masks[key], "each mask", weight.shape) for key, weight in weights.items()
    }


# ---- networks ------------------------------------------------------------------------------


def small_network(rng: RandomInputs) -> nn.Sequential:
    """Two Linear layers for (N, 6), two levels deep; weights and biases are never 0."""
    hidden, classes = rng.integer(5, 7), rng.integer(3, 5)
    network = nn.Sequential(
        nn.Sequential(nn.Linear(6, hidden), nn.Tanh()), nn.Linear(hidden, classes)
    )
    return redrawn(network, rng)


def convolutional_network(rng: RandomInputs) -> nn.Sequential:
    """Convolutions (one grouped), batch norm, a two-dimensional layer norm and a Linear layer.

    For (N, 2, 4, 4). Only three of the weights are those of Linear and convolution layers.
    """
    channels, classes = 2 * rng.integer(2, 3), rng.integer(3, 5)
    network = nn.Sequential(
        nn.LayerNorm((4, 4)),
        nn.Sequential(nn.Conv2d(2, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()),
        nn.Conv2d(channels, 4, 1, groups=2, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, classes),
    )
    return redrawn(network, rng)


def redrawn(network: nn.Sequential, rng: RandomInputs) -> nn.Sequential:
    """`network`, in place: parameters of both signs, no two magnitudes equal in the whole network.

    So there are no ties to break, neither in one layer nor over all of them.
    """
    parameters = list(network.parameters())
    values = torch.split(
        signed(rng, sum(p.numel() for p in parameters)), [p.numel() for p in parameters]
    )
    with torch.no_grad():
        for parameter, drawn in zip(parameters, values, strict=True):
            parameter.copy_(drawn.reshape(parameter.shape))
    return network


def layer_weights(model: nn.Module) -> dict[str, Tensor]:
    """Name and values of the weights of Linear and convolution layers: what may be pruned."""
    return {
        f"{name}.weight".removeprefix("."): module.weight.detach().clone()
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


def numbers(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the present state."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def same_numbers(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    """Whether two states have the same names and values, bit by bit where it matters."""
    return found.keys() == expected.keys() and all(
        found[name].shape == value.shape and torch.equal(found[name], value)
        for name, value in expected.items()
    )


def with_state(model: nn.Module, state: object) -> nn.Module:
    """A copy of our `model` with the numbers of a network that came back; it is ours to run."""
    hint = "return a copy of the network: the same layers with the same names and shapes"
    expected = model.state_dict()
    found = expect_dict(state, "the network's state")
    check(found.keys() == expected.keys(), hint)
    for name, value in expected.items():
        expect_tensor(found[name], "a parameter of the returned network", value.shape)
    after = copy.deepcopy(model)
    after.load_state_dict(found)
    return after


# ---- training ------------------------------------------------------------------------------


@dataclass
class Twins:
    """A network with its optimiser, once in the worker and once here; both get the same steps."""

    student: Any
    model: Ref
    optimizer: Ref
    ours: nn.Module
    our_optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, student: Any, network: nn.Module, name: str, **options: float) -> Twins:
        """Both, with an optimiser of torch.optim."""
        model = student.put(network)
        optimizer = student.put(Optimizer(name, model, options))
        ours = copy.deepcopy(network)
        return cls(
            student,
            model,
            optimizer,
            ours,
            getattr(torch.optim, name)(ours.parameters(), **options),
        )

    def backward(self, x: Tensor, cotangent: Tensor) -> None:
        """Add gradients to those that are there."""
        self.student.backward(self.model, [x], cotangent)
        self.ours(x).backward(cotangent)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.student.invoke(self.model, "zero_grad")
        self.our_optimizer.zero_grad()

    def plain_step(self) -> None:
        """The optimiser's own step, on both sides."""
        self.student.invoke(self.optimizer, "step")
        self.our_optimizer.step()

    def masked_step(self, masks: Masks) -> dict[str, Tensor]:
        """The student's step over there, a plain one and zeros here; the student's state."""
        self.student.masked_step(self.optimizer, self.model, masks)
        self.our_optimizer.step()
        with torch.no_grad():
            for name, mask in masks.items():
                parameter = self.ours.get_parameter(name)
                parameter.copy_(torch.where(mask, parameter, torch.zeros_like(parameter)))
        return dict(self.student.state(self.model))


def cubic(step: int, start: int, span: int, initial: float, final: float) -> float:
    """Zhu & Gupta's schedule over `span` steps, constant before and after."""
    passed = min(max(step - start, 0), span) / span
    return final - (final - initial) * math.pow(1 - passed, 3)


def rising(span: int, final: float) -> Callable[[int], float]:
    """A cubic schedule from 0 at step 0 to `final` at step `span`."""
    return lambda step: cubic(int(step), 0, span, 0.0, final)


# ---- channels ------------------------------------------------------------------------------


def picked(tensor: Tensor, indices: Sequence[int]) -> Tensor:
    """The slices of `tensor` along dimension 0, one by one."""
    return torch.stack([tensor[index] for index in indices])


def inputs_picked(weight: Tensor, groups: int, channels: int, keep: Sequence[int]) -> Tensor:
    """The weight of a convolution in groups that reads only the input channels in `keep`."""
    per_group, filters = channels // groups, weight.shape[0] // groups
    rows = []
    for output in range(weight.shape[0]):
        first = output // filters * per_group
        own = [index - first for index in keep if first <= index < first + per_group]
        rows.append(torch.stack([weight[output, index] for index in own]))
    return torch.stack(rows)


def columns_picked(weight: Tensor, channels: int, keep: Sequence[int]) -> Tensor:
    """The weight of a Linear layer that reads the flattened (C, H, W) of the channels in `keep`."""
    size = weight.shape[1] // channels
    columns = [index * size + place for index in keep for place in range(size)]
    return torch.stack([weight[:, column] for column in columns], dim=1)


def filled(layer: nn.Module, rng: RandomInputs) -> nn.Module:
    """`layer`, parameters and running statistics drawn in place, each channel with its own."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(signed(rng, *parameter.shape))
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.copy_(signed(rng, layer.num_features))
            layer.running_var.copy_(signed(rng, layer.num_features).abs())
    return layer


def expect_layer(value: object, kind: type[nn.Module], name: str) -> nn.Module:
    """`value` as a stock layer of this class whose stated sizes are those of its tensors."""
    if isinstance(value, Handle) and value.type_name == kind.__name__:
        fail(
            f"{name}: in_channels, out_channels, groups, num_features or in_features do not "
            "fit the new tensors"
        )
    if type(value) is not kind:
        fail(f"{name} should be a {kind.__name__}")
    return value


def expect_values(layer: nn.Module, hint: str, **expected: Tensor | None) -> None:
    """Check parameters and buffers of a layer by name; None for one that it should not have."""
    for name, tensor in expected.items():
        found = getattr(layer, name)
        if tensor is None:
            check(found is None, "a layer without bias stays without bias")
        else:
            check(isinstance(found, Tensor) and found.shape == tensor.shape, hint)
            check(torch.equal(found.detach(), tensor.detach()), hint)
