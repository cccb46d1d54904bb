"""The pruning half of session 2 against slow references; the lab sheet of the session."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.data import DataLoader, TensorDataset

from autograder.release import lab_notebook, strip_source
from shared import probes
from shared.models import DigitsCNN
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s2_quantization_pruning"
PATH = FOLDER / "pruning.py"

pruning = support.load(FOLDER, "pruning")

few = settings(max_examples=40)
# Few different values, so that ties are everywhere; exact in half precision too.
VALUES = st.sampled_from([-2.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0])
SHARES = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.floats(0, 1))


@st.composite
def tensors(draw: st.DrawFn, dims: int = 4, sides: int = 4) -> Tensor:
    shape = draw(st.lists(st.integers(1, sides), min_size=1, max_size=dims))
    count = math.prod(shape)
    values = draw(st.lists(VALUES, min_size=count, max_size=count))
    return torch.tensor(values).reshape(shape)


def seeded(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """A network with random weights, and random statistics of its norms."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
        for module in model.modules():
            if isinstance(module, pruning.BATCH_NORMS):
                for tensor in module.state_dict().values():
                    if tensor.is_floating_point():
                        tensor.uniform_(0.5, 2.0)
    return model


def snapshot(*models: nn.Module) -> list[dict[str, Tensor]]:
    return [copy.deepcopy(model.state_dict()) for model in models]


def same(left: list[dict[str, Tensor]], right: list[dict[str, Tensor]]) -> bool:
    return all(
        a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
        for a, b in zip(left, right, strict=True)
    )


# ---- the course material -----------------------------------------------------------------------


def test_module_stands_alone() -> None:
    outside = support.outside(support.imported(PATH), "torch")
    assert outside == {"shared.checks", "shared.data", "shared.seeding"}


def test_docstring_examples_are_true() -> None:
    assert support.expect_true_examples(pruning) > 0


def test_the_blank_keeps_helpers_and_signatures() -> None:
    blank: dict[str, Any] = {"__name__": "blank"}
    exec(strip_source(PATH.read_text(encoding="utf-8")), blank)
    with pytest.raises(NotImplementedError, match=r"s2\.magnitude_mask"):
        blank["magnitude_mask"](torch.ones(3), 0.5)
    assert list(blank["_prunable"](nn.Linear(2, 2))) == ["weight"]


def test_lab_sheet_has_model_answers_for_20_points() -> None:
    support.expect_model_answers(FOLDER, questions=6)
    text = (FOLDER / "lab.py").read_text(encoding="utf-8")
    assert b"BEGIN SOLUTION" not in lab_notebook(text)


SMALLER = {
    "WIDTH, EPOCHS = 16, 10": "WIDTH, EPOCHS = 8, 4",
    "ALL_BITS = (2, 3, 4, 6, 8)": "ALL_BITS = (2, 8)",
    "SHARES = (0.5, 0.7, 0.8, 0.9, 0.95)": "SHARES = (0.5, 0.9)",
    "    for seed in (0, 1):": "    for seed in (0,):",
    "for width in (3, 4, 6, 8)}": "for width in (3, 8)}",
    "for share in (0.8, 0.9, 0.95, 0.97)}": "for share in (0.8, 0.95)}",
    "small=(4, 8, 16, 32), epochs=8": "small=(4, 32), epochs=2",
    "for seed in (0, 1, 2):": "for seed in (0,):",
}
"""Settings of the lab sheet, and quicker ones: the test is about the code."""


@pytest.mark.slow
def test_lab_sheet_runs_from_top_to_bottom(tmp_path: Path) -> None:
    printed = support.lab_output(FOLDER, tmp_path, SMALLER)
    assert "the halved network computes what the masked one does" in printed


# ---- masks -------------------------------------------------------------------------------------


def lowest(values: list[float], count: int) -> set[int]:
    """Positions of the `count` smallest values, one at a time, the first of equal ones first."""
    left = list(range(len(values)))
    chosen: set[int] = set()
    for _ in range(count):
        best = left[0]
        for position in left:
            if values[position] < values[best]:
                best = position
        left.remove(best)
        chosen.add(best)
    return chosen


@given(tensors(), SHARES)
@few
def test_magnitude_mask_agrees_with_one_at_a_time(weight: Tensor, sparsity: float) -> None:
    mask = pruning.magnitude_mask(weight, sparsity)
    assert mask.dtype == torch.bool
    assert mask.shape == weight.shape
    gone = lowest([abs(v) for v in weight.flatten().tolist()], round(sparsity * weight.numel()))
    assert {i for i, kept in enumerate(mask.flatten().tolist()) if not kept} == gone


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_magnitude_mask_of_other_dtypes_and_strides(dtype: torch.dtype) -> None:
    weight = torch.tensor([[3.0, -1.0, 2.0], [0.0, 1.0, -4.0]], dtype=dtype)
    expected = torch.tensor([[True, False, True], [False, True, True]])
    assert torch.equal(pruning.magnitude_mask(weight, 1 / 3), expected)
    parameter = nn.Parameter(weight.t().contiguous()).t()
    assert torch.equal(pruning.magnitude_mask(parameter, 1 / 3), expected)


@given(st.lists(tensors(dims=2, sides=3), max_size=4), SHARES)
@few
def test_global_masks_agree_with_one_at_a_time(parts: list[Tensor], sparsity: float) -> None:
    weights = {f"w{i}": part for i, part in enumerate(parts)}
    masks = pruning.global_masks(weights, sparsity)
    assert list(masks) == list(weights)
    assert [mask.shape for mask in masks.values()] == [part.shape for part in parts]
    values = [abs(v) for part in parts for v in part.flatten().tolist()]
    kept = [k for mask in masks.values() for k in mask.flatten().tolist()]
    gone = lowest(values, round(sparsity * len(values)))
    assert {i for i, each in enumerate(kept) if not each} == gone


@given(st.data(), st.integers(1, 4))
@few
def test_nm_mask_agrees_with_one_group_at_a_time(data: st.DataObject, m: int) -> None:
    n = data.draw(st.integers(0, m))
    groups = data.draw(st.integers(1, 3))
    kernel = data.draw(st.lists(st.integers(1, 2), max_size=2))
    shape = (2, groups * m, *kernel)
    count = math.prod(shape)
    weight = torch.tensor(data.draw(st.lists(VALUES, min_size=count, max_size=count)))
    weight = weight.reshape(shape)
    mask = pruning.nm_mask(weight, n, m)
    assert mask.shape == weight.shape
    assert mask.is_contiguous()
    for out, group, *position in itertools.product(range(2), range(groups), *map(range, kernel)):
        indices = range(group * m, (group + 1) * m)
        values = [abs(weight[(out, i, *position)].item()) for i in indices]
        kept = [bool(mask[(out, i, *position)]) for i in indices]
        gone = lowest(values, m - n)
        assert kept == [i not in gone for i in range(m)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pruning.magnitude_mask(torch.ones(3), 1.1),
            r"sparsity: expected a number in 0\.\.1, got 1.1",
        ),
        (lambda: pruning.magnitude_mask(torch.ones(3), math.nan), "sparsity: expected .*, got nan"),
        (lambda: pruning.global_masks({}, -0.1), "sparsity: expected .*, got -0.1"),
        (lambda: pruning.nm_mask(torch.ones(2, 6), 2, 4), r"weight: expected .*, got \(2, 6\)"),
        (lambda: pruning.nm_mask(torch.ones(4), 2, 4), r"weight: expected .*, got \(4,\)"),
        (lambda: pruning.nm_mask(torch.ones(2, 4), 5, 4), "n: expected an int .*, got 5"),
        (lambda: pruning.nm_mask(torch.ones(2, 4), 0, 0), "m: expected an int .*, got 0"),
    ],
)
def test_masks_refuse_bad_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- masks in a network ------------------------------------------------------------------------


def test_apply_masks_changes_only_what_is_masked() -> None:
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)))
    before, objects = copy.deepcopy(model), list(model.parameters())
    mask = torch.rand(3, 4, generator=torch.Generator().manual_seed(1)) < 0.5
    with torch.no_grad():
        model[0].weight[~mask] = math.nan
    assert pruning.apply_masks(model, {"0.weight": mask}) is None
    assert all(a is b for a, b in zip(objects, model.parameters(), strict=True))
    expected = before.state_dict()
    expected["0.weight"] = expected["0.weight"] * mask
    assert same([dict(model.state_dict())], [dict(expected)])
    assert model[0].weight.requires_grad


def test_masks_of_shared_weights_go_by_either_name() -> None:
    for name in ("first.weight", "second.weight"):
        model = probes.Tied(3)
        pruning.apply_masks(model, {name: torch.zeros(3, 3, dtype=torch.bool)})
        assert not model.first.weight.any()


@pytest.mark.parametrize(
    ("name", "mask", "message"),
    [
        ("2.weight", torch.ones(2, 3).bool(), "masks: expected .*, got '2.weight'"),
        (
            "1.weight",
            torch.ones(3, 2).bool(),
            r"masks\['1.weight'\]: expected bool of shape \(2, 3\), got \(3, 2",
        ),
        ("1.weight", torch.ones(2, 3), r"masks\['1.weight'\]: expected bool .*float32"),
        ("1.weight", torch.tensor(True), r"masks\['1.weight'\]"),
    ],
)
def test_masks_that_do_not_fit_change_nothing(name: str, mask: Tensor, message: str) -> None:
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    before = snapshot(model)
    masks = {"0.weight": torch.zeros(3, 4, dtype=torch.bool), name: mask}
    optimizer = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    with pytest.raises(ValueError, match=message):
        pruning.apply_masks(model, masks)
    with pytest.raises(ValueError, match=message):
        pruning.masked_step(optimizer, model, masks)
    assert same(before, snapshot(model))


OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.1),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_masked_step_is_the_plain_step_on_kept_weights(
    make: Callable[[Any], torch.optim.Optimizer],
) -> None:
    model = seeded(lambda: nn.Linear(6, 5))
    twin = copy.deepcopy(model)
    optimizer, plain = make(model.parameters()), make(twin.parameters())
    draw = torch.Generator().manual_seed(0)
    mask = torch.ones(5, 6, dtype=torch.bool)
    for step in range(6):
        if step == 2:  # momentum is there when the weights are pruned
            mask = torch.rand(5, 6, generator=draw) < 0.5
            with torch.no_grad():
                model.weight[0] = twin.weight[0] = 0.0  # some of them are kept
        for left, right in zip(model.parameters(), twin.parameters(), strict=True):
            left.grad = torch.randn(left.shape, generator=draw)
            right.grad = left.grad.clone()
            with torch.no_grad():
                right.copy_(left)
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        plain.step()
        pruning.masked_step(optimizer, model, {"weight": mask})
        assert torch.equal(model.weight[mask], twin.weight[mask])
        assert torch.equal(model.bias, twin.bias)
        assert not model.weight[~mask].any()
        assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), gradients))
    assert model.weight[0][mask[0]].all()


# ---- pruning while training --------------------------------------------------------------------


@given(
    st.integers(-5, 50),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(0, 20),
    st.integers(0, 100),
    st.integers(0, 100),
)
@few
def test_cubic_agrees_with_exact_fractions(
    start: int, steps: int, interval: int, k: int, low: int, high: int
) -> None:
    initial, final = Fraction(low, 100), Fraction(high, 100)
    left = max(1 - Fraction(k, steps), Fraction(0))
    expected = final + (initial - final) * left**3
    arguments = (start, steps, interval, low / 100, high / 100)
    value = pruning.cubic_sparsity(start + k * interval, *arguments)
    assert value == pytest.approx(float(expected), abs=1e-12)
    assert pruning.cubic_sparsity(start - 1, *arguments) == low / 100
    assert pruning.cubic_sparsity(start, *arguments) == low / 100
    assert pruning.cubic_sparsity(start + steps * interval, *arguments) == high / 100
    assert pruning.cubic_sparsity(start + steps * interval + 7, *arguments) == high / 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, 0, 1, 0.0, 0.5), "steps: expected .*, got 0"),
        ((0, 0, 1, 0, 0.0, 0.5), "interval: expected .*, got 0"),
        ((0, 0, 1, 1, -0.1, 0.5), "initial: expected .*, got -0.1"),
        ((0, 0, 1, 1, 0.0, 1.5), "final: expected .*, got 1.5"),
    ],
)
def test_cubic_refuses_bad_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pruning.cubic_sparsity(*arguments)


def points(n: int = 256, seed: int = 0) -> DataLoader[Any]:
    """The class is the sign of the sum of the first two of 8 inputs."""
    draw = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 8, generator=draw)
    targets = (inputs[:, 0] + inputs[:, 1] > 0).long()
    return DataLoader(TensorDataset(inputs, targets), 32, shuffle=True)


def small_net() -> nn.Module:
    return nn.Sequential(
        *(nn.Linear(8, 15), nn.BatchNorm1d(15), nn.ReLU()),
        *(nn.Dropout(0.1), nn.Linear(15, 2)),
    )


@pytest.mark.slow
def test_gradual_prune_reaches_the_last_value_and_learns() -> None:
    model = seeded(small_net).eval()
    before, modes = snapshot(model), [m.training for m in model.modules()]
    generators, called = support.generator_states(), []

    def schedule(step: int) -> float:
        called.append(step)
        return float(pruning.cubic_sparsity(step, 10, 5, 10, 0.1, 0.9))

    pruned, masks = pruning.gradual_prune(model, points(), schedule, 100, momentum=0.9)
    assert called == list(range(100))
    assert set(masks) == {"0.weight", "4.weight"}
    assert sum(int((~mask).sum()) for mask in masks.values()) == round(0.9 * 150)
    for name, mask in masks.items():
        assert torch.equal(pruned.get_parameter(name) != 0, mask)
    assert pruned.get_parameter("0.bias").all()
    inputs, targets = points().dataset.tensors  # type: ignore[attr-defined]
    assert (pruned.eval()(inputs).argmax(1) == targets).float().mean() > 0.9
    assert same(before, snapshot(model))
    assert modes == [m.training for m in model.modules()]
    assert generators == support.generator_states()


def test_gradual_prune_never_revives_a_weight() -> None:
    """Stopped after any number of steps, the pruned weights are among those pruned later."""
    runs = [
        pruning.gradual_prune(
            seeded(small_net), points(), lambda step: min(0.1 + 0.02 * step, 0.9), steps
        )[1]["0.weight"]
        for steps in (1, 5, 10, 20, 39)
    ]
    for earlier, later in itertools.pairwise(runs):
        assert not (later & ~earlier).any()


def test_gradual_prune_of_nothing_is_training() -> None:
    batches = list(points())
    pruned, masks = pruning.gradual_prune(
        seeded(lambda: nn.Linear(8, 2)), batches, lambda _: 0, 12, lr=0.1, weight_decay=0.01
    )
    plain = seeded(lambda: nn.Linear(8, 2))
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    for inputs, targets in itertools.islice(itertools.cycle(batches), 12):
        optimizer.zero_grad()
        F.cross_entropy(plain(inputs), targets).backward()
        optimizer.step()
    assert same(snapshot(plain), snapshot(pruned))
    assert masks["weight"].all()


def test_gradual_prune_uses_the_loss_it_is_given() -> None:
    loader = [(torch.ones(4, 3), torch.zeros(4, 1))]
    pruned, _ = pruning.gradual_prune(
        seeded(lambda: nn.Linear(3, 1)), loader, lambda _: 0.5, 200, F.mse_loss
    )
    assert pruned(torch.ones(1, 3)).abs().item() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((points(), lambda _: 0.5, 0), "steps: expected an int .*, got 0"),
        (
            (points(), lambda step: 0.6 * step, 3),
            r"schedule\(2\): expected a number in 0\.\.1, got 1\.2",
        ),
        (([], lambda _: 0.5, 3), "loader"),
    ],
)
def test_gradual_prune_refuses_bad_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pruning.gradual_prune(nn.Linear(8, 2), *arguments)


def test_gradual_prune_needs_something_to_prune() -> None:
    with pytest.raises(ValueError, match="model: expected a linear or convolution layer"):
        pruning.gradual_prune(nn.BatchNorm1d(8), points(), lambda _: 0.5, 3)


@pytest.mark.slow
def test_large_sparse_beats_small_dense_at_equal_nonzeros() -> None:
    before, seen = support.generator_states(), 0

    def count(module: nn.Module, inputs: tuple[Any, ...], _: Any) -> None:
        nonlocal seen
        if isinstance(module, nn.Linear):
            seen += len(inputs[0])

    hook = register_module_forward_hook(count)
    rows = pruning.compare_large_sparse_small_dense()
    hook.remove()
    # Four networks of three layers, ten epochs of at most 1,797 images, and once the test images.
    assert seen <= 4 * 3 * 11 * 1797
    assert before == support.generator_states()
    assert len({row["name"] for row in rows}) == len(rows) == 4
    for width, (dense, sparse) in zip((8, 16), (rows[:2], rows[2:]), strict=True):
        weights = 64 * width + width * width + 10 * width
        assert dense["params"] == dense["nonzeros"] == sparse["nonzeros"] == weights
        assert sparse["params"] == 64 * 64 + 64 * 64 + 10 * 64
        assert dense["sparsity"] == 0
        assert sparse["sparsity"] == pytest.approx(1 - weights / sparse["params"])
        assert 0.85 < dense["accuracy"] < sparse["accuracy"] <= 1


def test_comparison_is_decided_by_its_seed() -> None:
    rows = [
        pruning.compare_large_sparse_small_dense(12, [2], epochs=1, seed=seed) for seed in (3, 3, 4)
    ]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"small": ()}, r"small: expected .*, got \(\)"),
        ({"small": (8, 64)}, "small: expected an int .*, got 64"),
        ({"small": (0,)}, "small: expected an int .*, got 0"),
        ({"large": 1}, "large: expected an int .*, got 1"),
        ({"epochs": 0}, "epochs: expected an int .*, got 0"),
    ],
)
def test_comparison_refuses_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pruning.compare_large_sparse_small_dense(**arguments)


# ---- channels ----------------------------------------------------------------------------------


@given(tensors(), st.sampled_from([0.5, 1, 2, 3, math.inf]), st.data())
@few
def test_channel_importance_agrees_with_a_sum(
    weight: Tensor, norm: float, data: st.DataObject
) -> None:
    dim = data.draw(st.integers(-weight.dim(), weight.dim() - 1))
    actual = pruning.channel_importance(weight, norm, dim)
    assert actual.dtype == weight.dtype
    assert actual.shape == (weight.shape[dim],)
    for channel in range(weight.shape[dim]):
        values = [abs(v) for v in weight.select(dim, channel).flatten().tolist()]
        expected = max(values) if norm == math.inf else sum(v**norm for v in values) ** (1 / norm)
        assert actual[channel].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "norm: expected .*, got 0"),
        ((-1,), "norm"),
        ((math.nan,), "norm"),
        ((1, 2), r"dim: expected .*\(2, 3\), got 2"),
    ],
)
def test_channel_importance_refuses_bad_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pruning.channel_importance(torch.ones(2, 3), *arguments)


class Masked(nn.Module):
    """Sets the channels that are not kept to zero."""

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept.view(1, -1, *[1] * (x.dim() - 2))


CONVS: dict[str, Callable[[], nn.Module]] = {
    "plain": lambda: nn.Conv2d(3, 6, 3, padding=1),
    "no bias, strided": lambda: nn.Conv2d(3, 6, 3, stride=2, padding=2, dilation=2, bias=False),
    "grouped": lambda: nn.Conv2d(4, 6, 3, padding=1, groups=2),
    "reflecting": lambda: nn.Conv2d(3, 6, 3, padding=1, padding_mode="reflect"),
}
NORMS: dict[str, Callable[[], nn.Module | None]] = {
    "none": lambda: None,
    "norm": lambda: nn.BatchNorm2d(6),
    "not affine": lambda: nn.BatchNorm2d(6, affine=False),
    "no statistics": lambda: nn.BatchNorm2d(6, track_running_stats=False),
}
NEXTS: dict[str, Callable[[], nn.Module | None]] = {
    "none": lambda: None,
    "plain": lambda: nn.Conv2d(6, 5, 3),
    "grouped": lambda: nn.Conv2d(6, 4, 3, groups=2, bias=False),
    "linear behind pooling": lambda: nn.Linear(6, 7),
    "linear": lambda: nn.Linear(6 * 16, 7, bias=False),
}


def chain(conv: nn.Module, bn: nn.Module | None, after: nn.Module | None, *mask: nn.Module) -> Any:
    """The network of the three layers, with what belongs between them."""
    layers = [conv, *([] if bn is None else [bn]), nn.ReLU(), *mask]
    if isinstance(after, nn.Linear):
        side = {True: 4, False: 1}[after.in_features % 16 == 0]
        layers += [nn.AdaptiveAvgPool2d(side), nn.Flatten()]
    return nn.Sequential(*layers, *([] if after is None else [after]))


def agrees_with_itself(layer: Any) -> bool:
    """Whether the sizes that a layer states are those of its tensors."""
    if isinstance(layer, nn.BatchNorm2d):
        tensors = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        return all(t is None or t.shape == (layer.num_features,) for t in tensors)
    if isinstance(layer, nn.Linear):
        outputs, shape = layer.out_features, (layer.out_features, layer.in_features)
    else:
        outputs = layer.out_channels
        shape = (outputs, layer.in_channels // layer.groups, *layer.kernel_size)
    return layer.weight.shape == shape and (layer.bias is None or layer.bias.shape == (outputs,))


@pytest.mark.slow
@pytest.mark.parametrize("after_kind", NEXTS)
@pytest.mark.parametrize("norm_kind", NORMS)
@pytest.mark.parametrize("conv_kind", CONVS)
def test_smaller_layers_compute_what_zeroed_channels_do(
    conv_kind: str, norm_kind: str, after_kind: str
) -> None:
    conv, bn, after = CONVS[conv_kind](), NORMS[norm_kind](), NEXTS[after_kind]()
    full = seeded(lambda: chain(conv, bn, after)).eval()
    given = snapshot(full)
    kept = torch.tensor([True, False, True, False, True, True])  # two of each group of three
    small = pruning.prune_channels(conv, bn, after, kept)
    inputs = torch.randn(2, conv.in_channels, 8, 8, generator=torch.Generator().manual_seed(1))
    expected = chain(conv, bn, after, Masked(kept)).eval()(inputs)
    actual = chain(*small).eval()(inputs)
    if after is None:
        expected = expected[:, kept]
    assert torch.allclose(actual, expected, atol=1e-5)
    assert same(given, snapshot(full))
    assert small[0].out_channels == 4
    assert bn is None or small[1].num_features == 4
    if isinstance(after, nn.Conv2d):
        assert (small[2].in_channels, small[2].out_channels) == (4, after.out_channels)
    if isinstance(after, nn.Linear):
        assert small[2].in_features == after.in_features // 6 * 4
    assert all(layer is None or agrees_with_itself(layer) for layer in small)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_layers_shrink_and_pass_it_on(multiplier: int) -> None:
    """Convolution, depthwise convolution, pointwise convolution, with norms, by two calls."""

    def build() -> nn.Module:
        wide = 6 * multiplier
        depthwise = nn.Conv2d(6, wide, 3, padding=1, groups=6)
        return nn.Sequential(
            *(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU()),
            *(depthwise, nn.BatchNorm2d(wide), nn.ReLU(), nn.Conv2d(wide, 5, 1)),
        )

    full = seeded(build).eval()
    conv, bn, relu, depthwise, bn2, _, pointwise = full
    keep = [0, 2, 3]
    new_conv, new_bn, new_depthwise = pruning.prune_channels(conv, bn, depthwise, keep)
    assert new_depthwise.groups == new_depthwise.in_channels == 3
    assert new_depthwise.out_channels == len(new_depthwise.weight) == 3 * multiplier
    kept = torch.zeros(6, dtype=torch.bool).index_fill(0, torch.tensor(keep), True)
    inputs = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    hidden = nn.Sequential(conv, bn, relu, Masked(kept), depthwise)(inputs)
    wide = kept.repeat_interleave(multiplier)
    actual = nn.Sequential(new_conv, new_bn, relu, new_depthwise)(inputs)
    assert torch.allclose(actual, hidden[:, wide], atol=1e-6)
    if multiplier == 1:
        _, new_bn2, new_pointwise = pruning.prune_channels(conv, bn2, pointwise, keep)
        small = nn.Sequential(new_conv, new_bn, relu, new_depthwise, new_bn2, relu, new_pointwise)
        expected = nn.Sequential(bn2, relu, Masked(kept), pointwise)(hidden)
        assert torch.allclose(small(inputs), expected, atol=1e-6)


@pytest.mark.parametrize("dims", [1, 3])
def test_other_dimensions(dims: int) -> None:
    conv_kind, norm_kind = getattr(nn, f"Conv{dims}d"), getattr(nn, f"BatchNorm{dims}d")
    full = seeded(lambda: nn.Sequential(conv_kind(2, 4, 3), norm_kind(4), conv_kind(4, 3, 1)))
    kept = torch.tensor([False, True, True, False])
    small = nn.Sequential(*pruning.prune_channels(*full, [1, 2])).eval()
    inputs = torch.randn(2, 2, *[5] * dims, generator=torch.Generator().manual_seed(0))
    expected = nn.Sequential(full[0], full[1], Masked(kept), full[2]).eval()(inputs)
    assert torch.allclose(small(inputs), expected, atol=1e-5)


def test_pruned_layers_keep_dtype_mode_and_requires_grad() -> None:
    conv, bn = nn.Conv2d(3, 4, 3).double().eval(), nn.BatchNorm2d(4).half()
    conv.weight.requires_grad_(False)
    conv.weight.grad = torch.ones_like(conv.weight)
    new_conv, new_bn, new_next = pruning.prune_channels(conv, bn, None, range(0, 4, 2))
    assert new_conv.weight.dtype == new_conv.bias.dtype == torch.float64
    assert not new_conv.weight.requires_grad
    assert new_conv.bias.requires_grad
    assert new_conv.weight.grad is None
    assert (new_conv.training, new_bn.training) == (False, True)
    assert new_bn.running_var.dtype == torch.float16
    assert new_bn.num_batches_tracked == 0
    assert new_next is None
    new_conv.bias.data.fill_(9.0)
    assert not (conv.bias == 9).any()


@pytest.mark.parametrize(
    "keep",
    [
        [0, 2],
        (0, 2),
        range(0, 4, 2),
        torch.tensor([0, 2]),
        torch.tensor([0, 2], dtype=torch.int32),
        np.array([0, 2]),
        [True, False, True, False],
        torch.tensor([True, False, True, False]),
    ],
    ids=repr,
)
def test_forms_of_keep(keep: Any) -> None:
    conv = seeded(lambda: nn.Conv2d(3, 4, 3))
    new_conv, *_ = pruning.prune_channels(conv, None, None, keep)
    assert torch.equal(new_conv.weight, conv.weight[::2])


@pytest.mark.parametrize(
    "keep",
    [
        [],
        [0, 0],
        [2, 0],
        [0, 4],
        [-1, 0],
        [0.0, 1.0],
        [True, False],
        [False] * 4,
        torch.zeros(4, dtype=torch.bool),
        torch.ones(1, 4, dtype=torch.bool),
        torch.tensor([[0, 1]]),
    ],
    ids=repr,
)
def test_bad_keep_is_refused(keep: Any) -> None:
    with pytest.raises(ValueError, match="keep: expected"):
        pruning.prune_channels(nn.Conv2d(3, 4, 3), None, None, keep)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((nn.Conv2d(4, 4, 3, groups=2), None, None), "keep: expected equally many .*groups=2"),
        ((nn.Conv2d(3, 4, 3), None, nn.Conv2d(4, 6, 3, groups=2)), "keep: expected equally many"),
        (
            (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(3), None),
            r"bn: expected .* 4 channels, got BatchNorm2d\(3",
        ),
        ((nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), None), "bn: expected .*GroupNorm"),
        ((nn.Conv2d(3, 4, 3), None, nn.Conv2d(3, 4, 3)), r"next_layer: expected .*Conv2d\(3"),
        ((nn.Conv2d(3, 4, 3), None, nn.Linear(6, 4)), "next_layer: expected .*in_features=6"),
        ((nn.Conv2d(3, 4, 3), None, nn.ReLU()), "next_layer: expected"),
        ((nn.Linear(3, 4), None, None), "conv: expected a convolution, got Linear"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pruning.prune_channels(*layers, [0, 1, 2])


# ---- which weights? ----------------------------------------------------------------------------


def test_prunable_are_weights_of_linear_and_convolution_layers() -> None:
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(3, 4),
            "norm": nn.LayerNorm(4),
            "conv": nn.Conv1d(4, 4, 3),
            "up": nn.ConvTranspose2d(4, 4, 3),
            "tied": probes.Tied(4),
        }
    )
    assert list(pruning._prunable(model)) == ["conv.weight", "up.weight", "tied.first.weight"]


def fingerprint(model: nn.Module) -> float:
    """A number that depends on the position of every weight."""
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    return float(flat @ torch.arange(1.0, len(flat) + 1).to(flat))


def test_sensitivity_scan_agrees_with_copies() -> None:
    model = seeded(lambda: DigitsCNN(2))
    model.features[1].eval()
    before, modes = snapshot(model), [m.training for m in model.modules()]
    grid = [0.9, 0.0, 0.37, 1.0]

    def evaluate(network: nn.Module) -> float:
        assert network is model
        network.eval()
        return fingerprint(network)

    scores = pruning.sensitivity_scan(model, evaluate, grid)
    assert modes == [m.training for m in model.modules()]
    assert same(before, snapshot(model))
    names = [f"features.{i}.weight" for i in (0, 3, 7)] + ["classifier.weight"]
    assert list(scores) == names
    for name, sparsity in itertools.product(names, grid):
        pruned = copy.deepcopy(model)
        weight = pruned.get_parameter(name)
        gone = lowest([abs(v) for v in weight.flatten().tolist()], round(sparsity * weight.numel()))
        with torch.no_grad():
            for position in gone:
                weight.view(-1)[position] = 0.0
        assert scores[name][grid.index(sparsity)] == fingerprint(pruned)


def test_sensitivity_scan_restores_when_evaluate_raises() -> None:
    model = seeded(lambda: nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)))
    before, weights = snapshot(model), [model[0].weight, model[1].weight]
    calls = itertools.count()

    def evaluate(network: nn.Module) -> float:
        network.eval()
        if next(calls) == 3:
            raise RuntimeError("enough")
        return 0.0

    with pytest.raises(RuntimeError, match="enough"):
        pruning.sensitivity_scan(model, evaluate, [0.5, 1.0])
    assert same(before, snapshot(model))
    assert model.training
    assert model[1].training
    assert weights[0] is model[0].weight
    assert weights[1] is model[1].weight


def test_sensitivity_scan_checks_the_grid_first() -> None:
    with pytest.raises(ValueError, match=r"grid: expected a number in 0\.\.1, got 2"):
        pruning.sensitivity_scan(nn.Linear(2, 2), lambda _: pytest.fail("called"), [0.5, 2])


@given(st.data(), SHARES)
@few
def test_grow_and_drop_agrees_with_one_at_a_time(data: st.DataObject, fraction: float) -> None:
    weight = data.draw(tensors(dims=2))
    count = weight.numel()
    flags = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    slopes = data.draw(st.lists(VALUES, min_size=count, max_size=count))
    mask = torch.tensor(flags).reshape(weight.shape)
    gradient = torch.tensor(slopes).reshape(weight.shape)
    actual = pruning.grow_and_drop(weight, mask, gradient, fraction)
    assert actual.shape == mask.shape
    assert actual.sum() == mask.sum()
    active = [i for i in range(count) if flags[i]]
    inactive = [i for i in range(count) if not flags[i]]
    k = min(round(fraction * len(active)), len(inactive))
    values = weight.flatten().tolist()
    dropped = {active[i] for i in lowest([abs(values[i]) for i in active], k)}
    grown = {inactive[i] for i in lowest([-abs(slopes[i]) for i in inactive], k)}
    expected = [(flag and i not in dropped) or i in grown for i, flag in enumerate(flags)]
    assert actual.flatten().tolist() == expected
    assert mask.flatten().tolist() == flags


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (torch.ones(3), torch.ones(3).bool(), torch.ones(3), 1.5),
            "fraction: expected .*, got 1.5",
        ),
        (
            (torch.ones(3), torch.ones(1).bool(), torch.ones(3), 0.5),
            r"mask: expected bool of shape \(3,\)",
        ),
        ((torch.ones(3), torch.ones(3), torch.ones(3), 0.5), "mask: expected bool .*float32"),
        (
            (torch.ones(3), torch.ones(3).bool(), torch.ones(1), 0.5),
            r"gradient: expected .*, got \(1,\)",
        ),
    ],
)
def test_grow_and_drop_refuses_bad_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pruning.grow_and_drop(*arguments)
