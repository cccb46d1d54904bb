import dataclasses
import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared.data import TensorBatches, load_digits, loaders, random_crop
from shared.evaluation import evaluate
from shared.models import MLP, DigitsCNN
from shared.training import Recipe, cutmix, fit, mixup, split, train, warmup_cosine

quick = settings(max_examples=50, database=None)


@pytest.fixture(scope="module")
def digits():
    return load_digits().scaled()


def fingerprint():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal_states(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ---- split ------------------------------------------------------------------------------------


@quick
@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 2**31))
def test_split_is_a_partition_of_the_right_sizes(n, fraction, seed):
    first, second = split(n, fraction, seed)
    assert sorted(first + second) == list(range(n))
    assert len(second) == round(n * fraction)
    assert all(type(i) is int for i in first + second)


def test_split_depends_on_the_seed_alone():
    before = fingerprint()
    first = split(100, 0.2, 0)
    torch.rand(3)
    assert split(100, 0.2, 0) == first
    assert split(100, 0.2, 1) != first
    assert first[0] != sorted(first[0])
    torch.set_rng_state(torch.tensor(before[2], dtype=torch.uint8))
    split(100, 0.2, 0)
    assert fingerprint() == before


@pytest.mark.parametrize(
    ("n", "fraction", "name"),
    [(-1, 0.1, "n"), (5, -0.1, "validation_fraction"), (5, 1.1, "validation_fraction")],
)
def test_split_refuses(n, fraction, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        split(n, fraction, 0)


# ---- mixed samples ----------------------------------------------------------------------------


@st.composite
def mixtures(draw):
    n, height, width = draw(st.integers(1, 4)), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    images = torch.rand(n, 2, height, width, generator=generator)
    targets = torch.rand(n, 3, generator=generator).softmax(dim=1)
    permutation = torch.randperm(n, generator=generator)
    center = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return images, targets, draw(st.floats(0, 1)), permutation, center


@quick
@given(mixtures())
def test_mixup_element_by_element(mixture):
    images, targets, lam, permutation, _ = mixture
    mixed, soft = mixup(images, targets, lam, permutation)
    for i, j in enumerate(permutation.tolist()):
        assert torch.allclose(mixed[i], lam * images[i] + (1 - lam) * images[j])
        assert torch.allclose(soft[i], lam * targets[i] + (1 - lam) * targets[j])


@quick
@given(mixtures())
def test_cutmix_pixel_by_pixel(mixture):
    images, targets, lam, permutation, (row, column) = mixture
    height, width = images.shape[2:]
    half_height = int(height * math.sqrt(1 - lam)) // 2
    half_width = int(width * math.sqrt(1 - lam)) // 2
    mixed, soft = cutmix(images, targets, lam, permutation, (row, column))
    pasted = 0
    for y in range(height):
        for x in range(width):
            inside = (
                row - half_height <= y < row + half_height
                and column - half_width <= x < column + half_width
            )
            pasted += inside
            source = images[permutation] if inside else images
            assert torch.equal(mixed[:, :, y, x], source[:, :, y, x])
    kept = 1 - pasted / (height * width)
    assert torch.allclose(soft, kept * targets + (1 - kept) * targets[permutation])
    assert torch.allclose(soft.sum(dim=1), torch.ones(len(images)))


def test_mixing_leaves_its_arguments_alone():
    images, targets = torch.rand(3, 1, 4, 4), torch.eye(3)
    kept = images.clone(), targets.clone()
    permutation = torch.tensor([1, 2, 0])
    mixup(images, targets, 0.5, permutation)
    cutmix(images, targets, 0.2, permutation, (1, 1))
    assert torch.equal(images, kept[0])
    assert torch.equal(targets, kept[1])


@pytest.mark.parametrize("mix", [mixup, lambda *args: cutmix(*args, (0, 0))])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("images", {"images": torch.zeros(3, 4)}),
        ("targets", {"targets": torch.zeros(2, 3)}),
        ("targets", {"targets": torch.zeros(3)}),
        ("permutation", {"permutation": torch.arange(2)}),
        ("lam", {"lam": -0.1}),
        ("lam", {"lam": 1.1}),
    ],
)
def test_mixing_refuses(mix, name, change):
    arguments = {
        "images": torch.zeros(3, 1, 4, 4),
        "targets": torch.zeros(3, 3),
        "lam": 0.5,
        "permutation": torch.arange(3),
    }
    with pytest.raises(ValueError, match=f"^{name}:"):
        mix(*(arguments | change).values())


@pytest.mark.parametrize("center", [(-1, 0), (0, 4), (4, 0)])
def test_cutmix_refuses_a_center_outside(center):
    with pytest.raises(ValueError, match="center"):
        cutmix(torch.zeros(2, 1, 4, 4), torch.eye(2), 0.5, torch.arange(2), center)


# ---- schedule ---------------------------------------------------------------------------------


@quick
@given(
    st.integers(0, 20), st.integers(1, 30), st.floats(0.01, 10), st.floats(0, 1), st.integers(0, 70)
)
def test_warmup_cosine(warmup, rest, peak, share, step):
    total, floor = warmup + rest, share * peak
    rate = warmup_cosine(step, warmup, total, peak, floor)
    if step < warmup:
        assert rate == pytest.approx(peak * step / warmup)
    elif step >= total:
        assert rate == pytest.approx(floor)
    else:
        # A cosine is point-symmetric about the middle of the decay.
        mirrored = warmup_cosine(total - (step - warmup), warmup, total, peak, floor)
        assert rate + mirrored == pytest.approx(peak + floor)
        assert warmup_cosine(step + 1, warmup, total, peak, floor) <= rate * (1 + 1e-12)


def test_warmup_cosine_at_a_third_of_the_decay():
    assert warmup_cosine(20, 10, 40, 2.0, 0.0) == pytest.approx(1.5)  # cos(60 degrees) = 1/2


@pytest.mark.parametrize(
    ("step", "warmup", "total", "name"),
    [(-1, 1, 2, "step"), (0, 2, 2, "warmup"), (0, -1, 2, "warmup")],
)
def test_warmup_cosine_refuses(step, warmup, total, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        warmup_cosine(step, warmup, total, 1.0)


# ---- fit and train ----------------------------------------------------------------------------


@pytest.mark.slow
def test_fit_learns_the_digits(digits):
    torch.manual_seed(0)
    model, data = DigitsCNN(), loaders(digits, 32, seed=0)
    history = fit(model, data.train, data.validation, epochs=5)
    assert [len(values) for values in dataclasses.astuple(history)] == [5, 5, 5]
    assert history.val_accuracy[-1] > 0.97
    assert history.train_loss[-1] < history.train_loss[0] / 5
    loss, accuracy = evaluate(model, data.validation)
    assert (loss, accuracy) == (history.val_loss[-1], history.val_accuracy[-1])


def small(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Dropout(0.3), MLP((24, 16, 10)))


def test_fit_never_learns_from_the_validation_data(digits):
    models = []
    for part in ("validation", "test"):
        model, data = small(), loaders(digits, 64)
        fit(model, data.train, getattr(data, part), 2)
        models.append(snapshot(model))
    assert equal_states(*models)


def test_training_is_repeatable_and_leaves_global_generators_alone(digits):
    before = fingerprint()
    states = []
    for _ in range(2):
        model = small()
        train(model, loaders(digits, 64, seed=3).train, None, Recipe(2, mix="mixup", seed=4))
        states.append(snapshot(model))
    assert fingerprint() == before
    assert equal_states(*states)


def test_the_seed_decides_dropout(digits):
    states = []
    for seed in (0, 1):
        model = small()
        train(model, loaders(digits, 64).train, None, Recipe(1, seed=seed))
        states.append(snapshot(model))
    assert not equal_states(*states)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw", "lr": 0.01},
        {"mix": "mixup"},
        {"mix": "cutmix"},
        {"label_smoothing": 0.1},
        {"mixed_precision": True},
        {"momentum": 0.0, "lr": 0.5},
    ],
    ids=str,
)
def test_every_variant_learns(digits, options):
    model = small()
    history = train(model, loaders(digits, 64).train, None, Recipe(4, **options))
    assert history.train_loss[-1] < history.train_loss[0]
    assert history.val_loss == history.val_accuracy == []
    assert evaluate(model, loaders(digits, 64).validation)[1] > 0.6


def test_mixed_samples_come_with_soft_targets(digits):
    seen = []

    def objective(model, inputs, targets):
        seen.append((inputs, targets))
        return F.cross_entropy(model(inputs), targets)

    data = TensorBatches(digits, digits.train, 64)
    train(small(), data, None, Recipe(1, mix="cutmix", lr=0.0), objective=objective)
    originals = digits.train.images.split(64)
    assert sum(len(inputs) for inputs, _ in seen) == len(digits.train)
    assert all(targets.shape == (len(inputs), 10) for inputs, targets in seen)
    assert all(torch.allclose(t.sum(dim=1), torch.ones(len(t))) for _, t in seen)
    assert any(not torch.equal(inputs, x) for (inputs, _), x in zip(seen, originals))


def test_frozen_parameters_stay(digits):
    model = small()
    model[1].weight.requires_grad_(False)
    before = model[1].weight.clone()
    train(model, loaders(digits, 64).train, None, Recipe(1))
    assert torch.equal(model[1].weight, before)


def test_the_learning_rate_follows_the_schedule():
    # With gradient 1, no momentum and no decay each step moves the weight by the learning rate.
    model, moves = nn.Linear(1, 1, bias=False), []
    last = [model.weight.item()]

    def note():
        moves.append(last[0] - model.weight.item())
        last[0] = model.weight.item()

    batches = [(torch.ones(2, 1), torch.zeros(2))] * 3
    recipe = Recipe(4, lr=0.5, momentum=0.0, weight_decay=0.0, warmup=1.0)
    train(model, batches, None, recipe, objective=lambda m, x, _: m(x).mean(), after_step=note)
    expected = [warmup_cosine(step, 3, 12, 0.5) for step in range(12)]
    assert moves == pytest.approx(expected, abs=1e-5)


def test_train_loss_is_a_mean_over_samples():
    model = nn.Linear(1, 1, bias=False)
    batches = [(torch.full((3, 1), 1.0), torch.zeros(3)), (torch.full((1, 1), 5.0), torch.zeros(1))]
    objective = lambda m, x, _: x.mean() + 0 * m(x).sum()  # noqa: E731
    history = train(model, batches, None, Recipe(1), objective=objective)
    assert history.train_loss == [pytest.approx(2.0)]


def test_nothing_to_do(digits):
    model = small()
    before = snapshot(model)
    assert train(model, loaders(digits, 64).train, None, Recipe(0)).train_loss == []
    assert equal_states(snapshot(model), before)


def test_an_empty_loader_is_refused():
    with pytest.raises(ValueError, match="batches"):
        train(small(), [], None, Recipe(1))


@pytest.mark.parametrize(
    ("options", "name"),
    [({"epochs": -1}, "epochs"), ({"optimizer": "sdg"}, "optimizer"), ({"mix": "mixout"}, "mix")],
)
def test_a_recipe_refuses(options, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        Recipe(**({"epochs": 1} | options))


# ---- checkpoints and progress -----------------------------------------------------------------


class Killed(Exception):
    pass


def test_an_interrupted_training_continues_as_if_nothing_had_happened(digits, tmp_path):
    recipe = Recipe(4, mix="cutmix")

    def data():
        return TensorBatches(digits, digits.train, 128, 5, random_crop)

    whole = small()
    expected = train(whole, data(), loaders(digits, 64).validation, recipe)

    interrupted, steps = small(), []

    def kill():
        steps.append(1)
        if len(steps) > 2.5 * len(data()):
            raise Killed

    checkpoint = tmp_path / "folder" / "run.pt"
    arguments = (data(), loaders(digits, 64).validation, recipe)
    with pytest.raises(Killed):
        train(interrupted, *arguments, after_step=kill, checkpoint=checkpoint)
    resumed = small(seed=9)
    history = train(resumed, *arguments, checkpoint=checkpoint)
    assert history == expected
    assert equal_states(snapshot(resumed), snapshot(whole))
    assert [path.name for path in checkpoint.parent.iterdir()] == ["run.pt"]


def test_a_finished_training_is_not_repeated(digits, tmp_path):
    checkpoint = tmp_path / "run.pt"
    first = train(small(), loaders(digits, 64).train, None, Recipe(1), checkpoint=checkpoint)
    calls = []
    second = train(
        small(),
        loaders(digits, 64).train,
        None,
        Recipe(1),
        checkpoint=checkpoint,
        after_step=lambda: calls.append(1),
    )
    assert second == first
    assert calls == []


def test_a_checkpoint_of_another_recipe_is_refused(digits, tmp_path):
    checkpoint = tmp_path / "run.pt"
    train(small(), loaders(digits, 64).train, None, Recipe(1), checkpoint=checkpoint)
    with pytest.raises(ValueError, match=r"checkpoint: .*run\.pt"):
        train(small(), loaders(digits, 64).train, None, Recipe(2), checkpoint=checkpoint)


@pytest.mark.parametrize("progress", [False, True])
def test_nothing_is_printed_unless_asked(digits, capsys, progress):
    train(small(), loaders(digits, 512).train, None, Recipe(1), progress=progress)
    captured = capsys.readouterr()
    assert ("training" in captured.out + captured.err) == progress
