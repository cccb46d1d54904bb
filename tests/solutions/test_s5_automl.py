"""The solution of session 5 against slow references and properties; its hand-out and lab sheet."""

from __future__ import annotations

import itertools
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autograder.graders.s5_automl import architectures
from autograder.graders.toolkit import RandomInputs
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s5_automl"


NAMES = ("search_space", "search", "policies", "factorization")
MODULES = {name: support.load(FOLDER, name) for name in NAMES}
search_space, search, policies, factorization = MODULES.values()
importable = support.importable(MODULES)

few = settings(max_examples=40, deadline=None)
CHOICES = {"kernel": [3, 5], "widths": [[4, 8], [4, 8, 16]], "act": ["relu", "tanh", "gelu"]}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---- the hand-out ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_docstring_examples_are_true(name: str) -> None:
    support.expect_true_examples(MODULES[name])


def test_hand_out_gives_the_points_of_the_course() -> None:
    support.expect_points_of_the_course(FOLDER, {"gptq": "extra credit of {} points"})


def test_hand_out_gives_the_size_of_the_table() -> None:
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    assert f"a table of {len(architectures.table().macs):,} small networks" in text
    with np.load(architectures.FILE) as stored:
        seeds = stored["test"].shape[1]
    assert seeds == 3
    assert "each trained with three seeds" in text


def test_lab_sheet_has_model_answers_for_20_points() -> None:
    support.expect_model_answers(FOLDER, questions=5)


SMALLER = {
    "BUDGET = 60\n": "BUDGET = 6\n",
    "for seed in range(2):": "for seed in range(1):",
    "compression.open_study(path), 30)": "compression.open_study(path), 4)",
    "compression.run(study, 80)": "compression.run(study, 8)",
    "widths = [2, 3, 4, 5, 6, 8]": "widths = [3, 8]",
    "for mean in (2.5, 3, 3.5, 4, 5):": "for mean in (3.5, 5):",
    "ResNet((2, 2, 2, 2), (64, 128, 256, 512), channels=1)": "ResNet((1, 1), (16, 64), channels=1)",
    "(1.0, 0.95, 0.8, 0.6, 0.4, 0.2, 0.1)": "(1.0, 0.4)",
}


@pytest.mark.slow
def test_lab_sheet_runs_from_top_to_bottom(tmp_path: Path) -> None:
    printed = support.lab_output(FOLDER, tmp_path, SMALLER)
    assert re.search(r"energy  40%: .* MACs", printed)


@pytest.mark.slow
def test_a_killed_study_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle of a study loses no trial that was complete."""
    path = tmp_path / "study.db"
    command = [sys.executable, "compression_study.py", str(path), "--trials"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    first = subprocess.Popen([*command, "100000"], cwd=FOLDER, env=environment)
    storage, complete = f"sqlite:///{path}", (optuna.trial.TrialState.COMPLETE,)

    def done() -> list[Any]:
        try:
            study = optuna.load_study(study_name=None, storage=storage)
        except Exception:  # not there yet
            return []
        return [(t.number, t.value) for t in study.get_trials(states=complete)]

    end = time.monotonic() + 120
    while len(done()) < 4 and time.monotonic() < end and first.poll() is None:
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = done()
    assert len(before) >= 4
    wanted = len(before) + 3
    again = subprocess.run(
        [*command, str(wanted)], cwd=FOLDER, env=environment, capture_output=True, text=True
    )
    after = done()
    assert after[: len(before)] == before
    assert len(after) == wanted
    assert "uniform" in again.stdout or "nothing found" in again.stdout


# ---- the table -----------------------------------------------------------------------------------


def test_the_table_is_small_and_whole() -> None:
    known = architectures.table()
    assert len(known.macs) >= 1000
    assert architectures.FILE.stat().st_size < 500_000
    for shares in (known.validation, known.test):
        assert ((shares >= 0) & (shares <= 1)).all()
    assert np.median(known.validation[:, -1] - known.validation[:, 0]) > 0


def test_costs_of_the_table_are_those_of_its_networks() -> None:
    rows = list(itertools.product(*architectures.CHOICES.values()))
    for row in random.Random(0).sample(range(len(rows)), 12):
        kernel, stride, _, head, first, second = rows[row]
        side = 8 // stride // 2
        features = second * (side**2 if head == "flatten" else 1)
        layers = [nn.Conv2d(1, first, kernel), nn.Conv2d(first, second, kernel)]
        params = sum(p.numel() for each in layers for p in each.parameters()) + 10 * features + 10
        macs = kernel**2 * (first * (8 // stride) ** 2 + first * second * side**2) + 10 * features
        assert architectures.table().params[row] == params
        assert architectures.table().macs[row] == macs


def test_expected_regret_is_that_of_many_random_searches() -> None:
    limits = architectures.limits_at(0.6, "macs")
    best, expected = architectures.random_regret(limits, 30)
    worth = architectures.table().worth(limits)
    draws = np.random.default_rng(0).integers(0, len(worth), (4000, 30))
    assert best == worth.max()
    assert expected == pytest.approx(best - worth[draws].max(1).mean(), abs=0.01)


# ---- search_space --------------------------------------------------------------------------------


@given(st.tuples(*[st.integers(0, n - 1) for n in (2, 2, 3, 3)]))
@few
def test_codes_come_back(code: tuple[int, ...]) -> None:
    space = search_space.SearchSpace(CHOICES)
    assert space.encode(space.decode(code)) == code


@given(st.integers(0, 10_000), st.floats(0, 1))
@few
def test_children_are_architectures(seed: int, probability: float) -> None:
    space = search_space.SearchSpace(CHOICES)
    a, b = space.sample(seeded(seed)), space.sample(seeded(seed + 1))
    child = space.crossover(a, b, seeded(seed))
    assert all(x in pair for x, *pair in zip(*map(space.encode, (child, a, b))))
    mutant = space.mutate(child, probability, seeded(seed))
    assert mutant["widths"] is not child["widths"]
    space.encode(mutant)


def test_all_architectures_are_equally_likely() -> None:
    space, generator = search_space.SearchSpace(CHOICES), seeded(0)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(3600):
        code = space.encode(space.sample(generator))
        counts[code] = counts.get(code, 0) + 1
    assert len(counts) == 36
    assert max(abs(count - 100) for count in counts.values()) < 50


@pytest.mark.parametrize("choices", [{"a": []}, {"a": [[1], []]}])
def test_empty_spaces_are_refused(choices: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least one option"):
        search_space.SearchSpace(choices)


# ---- search --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random_search", "evolutionary_search", "optuna_search"])
def test_searches_return_the_best_that_they_saw(name: str) -> None:
    rng = RandomInputs(bytes(16))
    drawn = architectures.hidden(rng, 40)
    limits = architectures.limits_at(0.6, "params")
    arch = getattr(search, name)(drawn.remote(), drawn.evaluate, limits, 40, 0)
    seen = [drawn.measured(each) for each in drawn.calls]
    feasible = [m["accuracy"] for m in seen if m["params"] <= limits["params"]]
    assert drawn.measured(arch)["accuracy"] == max(feasible)
    assert len(drawn.calls) == 40
    with pytest.raises(ValueError, match="budget"):
        getattr(search, name)(drawn.remote(), drawn.evaluate, limits, 0, 0)


@given(st.integers(1, 40), st.integers(2, 4), st.integers(0, 500))
@few
def test_halving_keeps_its_budget(count: int, eta: int, more: int) -> None:
    spent = []

    def measure(configuration: int, resource: int) -> dict[str, float]:
        spent.append(resource)
        return {"accuracy": configuration}

    budget = 8 * count + more
    assert search.successive_halving(list(range(count)), measure, eta, budget) == count - 1
    assert sum(spent) <= budget


# ---- policies ------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0, 1))
@few
def test_allocation_against_all_choices(seed: int, share: float) -> None:
    draw = random.Random(seed)
    sensitivity = {
        name: {bits: draw.uniform(0, 3) for bits in draw.sample(range(1, 9), 3)} for name in "abcd"
    }
    sizes = {name: draw.randint(1, 30) for name in "abcd"}
    least = sum(sizes[n] * min(each) for n, each in sensitivity.items())
    budget = int(least + share * 8 * sum(sizes.values()))
    losses = [
        sum(sensitivity[n][b] for n, b in zip("abcd", choice))
        for choice in itertools.product(*sensitivity.values())
        if sum(sizes[n] * b for n, b in zip("abcd", choice)) <= budget
    ]
    chosen = policies.allocate_bits(sensitivity, sizes, budget)
    assert sum(sensitivity[n][b] for n, b in chosen.items()) == pytest.approx(min(losses))


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(0, 1)), max_size=12))
@few
def test_hypervolume_against_a_fine_grid(points: list[tuple[float, float]]) -> None:
    costs, accuracies = (np.linspace(0, top, 201)[:-1] + top / 400 for top in (10, 1))
    dominated = np.zeros((200, 200), bool)
    for cost, accuracy in points:
        dominated |= (costs[:, None] >= cost) & (accuracies[None] <= accuracy)
    area = policies.hypervolume(points, (10.0, 0.0))
    assert area == pytest.approx(dominated.mean() * 10, abs=0.15)


@given(st.integers(0, 10_000))
@few
def test_bounded_actions_reach_the_target(seed: int) -> None:
    draw = random.Random(seed)
    count, step = draw.randint(2, 6), draw.choice([1, 2, 4])
    channels = [step * draw.randint(4, 20) for _ in range(count)]
    macs = [draw.randint(10, 1000) for _ in range(count)]
    most = sum(
        m * max(1 - k / c for k in range(0, c + 1, step) if 1 - k / c <= 0.7 + 1e-9)
        for m, c in zip(macs, channels)
    )
    target = draw.uniform(0, 0.999) * most / sum(macs)
    pruned: list[float] = []
    for layer in range(count):
        share = policies.amc_bound_action(
            draw.random(), layer, macs, pruned, target, 0.7, channels, step
        )
        assert share <= 0.7 + 1e-9
        assert round((1 - share) * channels[layer], 6) % step == 0
        pruned.append(share)
    assert sum(p * m for p, m in zip(pruned, macs)) >= target * sum(macs) - 1e-6


def test_gptq_beats_rounding_and_equals_it_without_correlation() -> None:
    generator = seeded(0)
    weight = torch.randn(16, 24, generator=generator)
    x = torch.randn(300, 4, generator=generator) @ torch.randn(4, 24, generator=generator)
    x = x + 0.2 * torch.randn(300, 24, generator=generator)

    def error(codes: Tensor, scale: Tensor) -> float:
        return float((x @ (weight - codes * scale[:, None]).T).square().sum())

    for bits in (3, 4):
        codes, qparams = policies.gptq(weight, x.T @ x, bits)
        top = 2 ** (bits - 1) - 1
        scale = weight.abs().amax(1) / top
        plain = (weight / scale[:, None]).round()
        assert torch.allclose(qparams.scale, scale)
        assert error(codes, scale) < 0.5 * error(plain, scale)
        assert torch.equal(policies.gptq(weight, torch.eye(24), bits)[0], plain.int())


# ---- factorization -------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_svd_has_the_least_error(rank: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(7, 9)
    first, second = factorization.svd_factorize(layer, rank)
    error = float((second.weight @ first.weight - layer.weight).detach().square().sum())
    values = torch.linalg.svdvals(layer.weight.detach())
    assert error == pytest.approx(float(values[rank:].square().sum()), abs=1e-5)


def test_convolutions_keep_their_output_size() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 11, 10)
    for options in ({"padding": 1}, {"stride": 2, "dilation": 2}, {"padding": "same"}):
        layer = nn.Conv2d(8, 12, 3, **options)
        shape = layer(x).shape
        whole = factorization.low_rank_conv(layer, 99)
        assert torch.allclose(whole(x), layer(x), atol=1e-4)
        for small in (
            factorization.low_rank_conv(layer, 2),
            factorization.depthwise_separable(layer),
            factorization.grouped(layer, 4),
        ):
            assert small(x).shape == shape
            assert sum(map(Tensor.numel, small.parameters())) < 8 * 12 * 9


def test_groups_of_a_block_diagonal_kernel_lose_nothing() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3)
    with torch.no_grad():
        layer.weight[:3, 2:] = 0
        layer.weight[3:, :2] = 0
    x = torch.randn(1, 4, 6, 6)
    assert torch.allclose(factorization.grouped(layer, 2)(x), layer(x), atol=1e-5)


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=12), st.floats(0, 1))
@few
def test_rank_holds_the_energy_and_one_less_does_not(values: list[float], energy: float) -> None:
    ordered = torch.tensor(sorted(values, reverse=True), dtype=torch.float64)
    rank = factorization.rank_for_energy(ordered, energy)
    squares = [v * v for v in ordered.tolist()]
    total = math.fsum(squares)
    assert math.fsum(squares[:rank]) >= energy * total * (1 - 1e-9)
    assert rank == 1 or math.fsum(squares[: rank - 1]) < energy * total * (1 + 1e-9)
