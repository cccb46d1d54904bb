"""The solution of session 3 against slow references and properties; its hand-out and lab sheet."""

from __future__ import annotations

import itertools
import math
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s3_weight_clustering"

clustering = support.load(FOLDER, "clustering")
coding = support.load(FOLDER, "coding")
deep_compression = support.load(FOLDER, "deep_compression")
MODULES = {"clustering": clustering, "coding": coding, "deep_compression": deep_compression}
importable = support.importable(MODULES)

few = settings(max_examples=40)
values = st.floats(-100, 100, width=32)
METHODS = ("linear", "density", "forgy")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- the course material -----------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_no_other_session(name: str) -> None:
    outside = support.outside(support.imported(FOLDER / f"{name}.py"), "torch", *MODULES)
    assert outside <= {"shared.checks"}


@pytest.mark.parametrize("name", MODULES)
def test_a_broken_module_costs_only_who_calls_it(name: str) -> None:
    """Modules of the session are imported inside functions, so each can be imported alone."""
    assert not support.imported_first(FOLDER / f"{name}.py") & MODULES.keys()


@pytest.mark.parametrize("name", ["clustering", "coding"])
def test_docstring_examples_are_true(name: str) -> None:
    assert support.expect_true_examples(MODULES[name]) > 0


def test_hand_out_gives_the_points_of_the_course() -> None:
    support.expect_points_of_the_course(FOLDER)


def test_hand_out_gives_the_thresholds_of_the_course() -> None:
    limits = support.exercises(FOLDER)["compress"]["thresholds"]
    text = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    for sentence in (
        f"Full points need a ratio of {limits['full_ratio']:g}, none are given",
        f"below {limits['zero_ratio']:g}, and the accuracy may fall by at most",
        f"at most {100 * limits['max_drop']:g} point",
        f"beyond {limits['free_source_bytes']:,} bytes",
    ):
        assert sentence in text


EXAMPLE = torch.tensor(
    [
        [2.0, 0.1, -1.0, 0.0],
        [0.0, 1.8, 0.1, -1.2],
        [0.1, 0.0, 0.0, 0.1],
        [-0.1, 0.0, 2.2, 0.0],
    ]
)


def test_worked_example_of_the_hand_out() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    mask = EXAMPLE.abs() > 0.5
    centroids, labels = clustering.cluster_nonzero(EXAMPLE, mask, bits=1)
    assert torch.allclose(centroids, torch.tensor([0.0, -1.1, 2.0]))
    gradient = torch.full((4, 4), 0.1) * mask
    moved = clustering.codebook_step(centroids, labels, gradient, lr=1.0)
    assert torch.allclose(moved, torch.tensor([0.0, -1.3, 1.7]))
    gaps = coding.relative_index_encode(mask, bits=2).tolist()
    assert gaps == [0, 1, 2, 1, 3, 3, 0]
    assert "0, 1, 2, 1, 3, 3, 0" in text
    counts = Counter(gaps)
    code = coding.huffman_code(counts)
    assert sum(counts[gap] * len(code[gap]) for gap in counts) == 14
    assert coding.entropy(counts) == pytest.approx(1.95, abs=0.005)
    assert "1.95" in text
    assert clustering.compression_ratio(16, 4) == 3.2


def test_lab_sheet_has_model_answers_for_20_points() -> None:
    support.expect_model_answers(FOLDER, questions=5)


SMALLER = {
    "torch.arange(12_000)), 8": "torch.arange(2_000)), 2",
    "data.train, 30": "data.train, 5",
}


@pytest.mark.slow
def test_lab_sheet_runs_from_top_to_bottom(tmp_path: Path) -> None:
    support.lab_output(FOLDER, tmp_path, SMALLER)


# ---- init_centroids, kmeans_1d -----------------------------------------------------------------


@given(st.lists(values, min_size=1, max_size=40), st.integers(1, 12), st.sampled_from(METHODS))
@example([-1.0, -1.1754943508222875e-38], 2, "linear")  # -1 + (x - -1) is 0, not x
@few
def test_start_is_sorted_and_within_the_weights(items: list[float], k: int, method: str) -> None:
    weights = torch.tensor(items)
    before = weights.clone()
    start = clustering.init_centroids(weights, k, method)
    assert torch.equal(weights, before)
    assert start.dtype == weights.dtype
    assert start.shape == (min(k, len(set(items))),)
    assert bool((start.diff() >= 0).all())
    assert min(items) <= float(start.min()) <= float(start.max()) <= max(items)
    if method == "forgy":
        assert len(set(start.tolist())) == len(start)
        assert set(start.tolist()) <= set(items)


def test_starts_agree_with_numpy() -> None:
    weights = normal(7, 31).double()
    linear = clustering.init_centroids(weights, 9).numpy()
    assert np.allclose(linear, np.linspace(weights.numpy().min(), weights.numpy().max(), 9))
    density = clustering.init_centroids(weights, 9, "density").numpy()
    assert np.allclose(density, np.quantile(weights.numpy(), (np.arange(9) + 0.5) / 9))
    assert clustering.init_centroids(weights, 1).item() == pytest.approx(
        (weights.min() + weights.max()).item() / 2
    )


def test_forgy_is_decided_by_its_seed() -> None:
    before = support.generator_states()
    drawn = [clustering.init_centroids(normal(99), 5, "forgy", seed).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert support.generator_states() == before


def within(weights: Tensor, centroids: Tensor, labels: Tensor) -> float:
    return float(((centroids.double()[labels] - weights.double()) ** 2).sum())


def optimal_within(weights: list[float], k: int) -> float:
    """The least within-cluster sum of any k clusters, by dynamic programming over all cuts."""
    ordered = sorted(weights)
    n = len(ordered)

    def spread(a: int, b: int) -> float:
        part = ordered[a:b]
        mean = math.fsum(part) / len(part)
        return math.fsum((value - mean) ** 2 for value in part)

    best = [0.0] + [math.inf] * n
    for _ in range(k):
        best = [0.0] + [min(best[a] + spread(a, b) for a in range(b)) for b in range(1, n + 1)]
    return best[n]


@given(st.lists(values, min_size=1, max_size=14), st.integers(1, 6), st.sampled_from(METHODS))
@few
def test_kmeans_is_no_better_than_the_optimum_and_a_fixed_point(
    items: list[float], k: int, method: str
) -> None:
    weights = torch.tensor(items, dtype=torch.float64)
    centroids, labels = clustering.kmeans_1d(weights, k, method)
    error, best = within(weights, centroids, labels), optimal_within(items, k)
    assert error >= best - 1e-6
    if k >= len(set(items)):
        assert error == 0.0
    for j, centroid in enumerate(centroids.tolist()):
        members = weights[labels == j].tolist()
        if members:
            assert centroid == pytest.approx(math.fsum(members) / len(members), abs=1e-9)


def test_kmeans_comes_close_to_the_optimum() -> None:
    weights = normal(60, seed=3)
    centroids, labels = clustering.kmeans_1d(weights, 6, "density")
    assert within(weights, centroids, labels) <= 1.15 * optimal_within(weights.tolist(), 6)


@given(st.lists(values, min_size=1, max_size=30), st.integers(1, 9), st.integers(0, 5))
@few
def test_labels_are_nearest_and_ties_go_down(items: list[float], k: int, iterations: int) -> None:
    weights = torch.tensor(items).double()
    centroids, labels = clustering.kmeans_1d(weights, k, iterations=iterations)
    distance = (weights[:, None] - centroids[None]).abs()
    chosen = distance.gather(1, labels[:, None])[:, 0]
    assert torch.allclose(chosen, distance.min(dim=1).values, atol=1e-9)
    assert labels.dtype == torch.int64
    tied, below = clustering.kmeans_1d(torch.tensor([0.0, 1.0, 2.0]), 2, iterations=0)
    assert (tied.tolist(), below.tolist()) == ([0.0, 2.0], [0, 0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("k", [2, 7, 64])
def test_within_cluster_sum_never_rises(method: str, k: int) -> None:
    weights = torch.cat([normal(300), 50 + 0.01 * normal(20, seed=1)])
    sums = [
        within(weights, *clustering.kmeans_1d(weights, k, method, iterations))
        for iterations in range(30)
    ]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(sums))
    centroids, labels = clustering.kmeans_1d(weights, k, method)
    assert len(labels.unique()) == len(centroids) == k
    assert bool(torch.isfinite(centroids).all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_kmeans_keeps_dtype_shape_and_input(dtype: torch.dtype) -> None:
    weights = normal(4, 5).to(dtype).requires_grad_()
    before = weights.detach().clone()
    centroids, labels = clustering.kmeans_1d(weights, 3)
    assert centroids.dtype == dtype
    assert labels.shape == (4, 5)
    assert torch.equal(weights, before)


def test_clusters_of_one_value_are_exact_among_large_sums() -> None:
    weights = torch.tensor([1e-6] * 3 + [12345.678] * 50_000 + [-777.7] * 50_000)
    centroids, _ = clustering.kmeans_1d(weights, 3)
    assert centroids.tolist() == sorted(set(weights.tolist()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: clustering.init_centroids(torch.empty(0), 2), "one element, got (0,)"),
        (
            lambda: clustering.init_centroids(torch.ones(3), 0),
            "k: expected an int of at least 1, got 0",
        ),
        (lambda: clustering.init_centroids(torch.ones(3), 1, "random"), "'random'"),
        (lambda: clustering.kmeans_1d(torch.empty(0), 2), "one element, got (0,)"),
        (lambda: clustering.kmeans_1d(torch.ones(3), 0), "k: expected"),
        (lambda: clustering.kmeans_1d(torch.ones(3), 1, iterations=-1), "iterations: expected"),
        (lambda: clustering.kmeans_1d(torch.ones(3), 1, "random"), "'random'"),
        (lambda: clustering.cluster_nonzero(torch.ones(3), torch.ones(3) > 0, 0), "bits: expected"),
        (lambda: clustering.cluster_nonzero(torch.ones(3), torch.ones(3) > 0, 33), "33"),
        (lambda: clustering.cluster_nonzero(torch.ones(3), torch.ones(2) > 0, 1), "(3,), got (2,)"),
        (
            lambda: clustering.decode_clusters(torch.ones(2), torch.tensor([2]), (1,)),
            "labels: expected integers in 0..1, got 2",
        ),
        (lambda: clustering.decode_clusters(torch.ones(2), torch.tensor([1]), (2,)), "2 elements"),
        (
            lambda: clustering.centroid_gradient(torch.ones(2), torch.tensor([0, -1]), 3),
            "labels: expected integers in 0..2, got -1",
        ),
        (
            lambda: clustering.centroid_gradient(torch.ones(2), torch.tensor([0]), 3),
            "(2,), got (1,)",
        ),
        (lambda: clustering.centroid_gradient(torch.ones(1), torch.tensor([0.0]), 3), "integers"),
        (lambda: clustering.centroid_gradient(torch.ones(1), torch.tensor([0]), 0), "k: expected"),
        (
            lambda: clustering.codebook_step(torch.ones(1), torch.tensor([1]), torch.ones(1), 0.1),
            "labels: expected integers in 0..0, got 1",
        ),
        (
            lambda: clustering.codebook_step(torch.ones(1), torch.tensor([0]), torch.ones(2), 0.1),
            "(2,), got (1,)",
        ),
        (lambda: clustering.compression_ratio(0, 1), "n: expected"),
        (lambda: clustering.compression_ratio(1, 0), "k: expected"),
        (lambda: clustering.compression_ratio(1, 1, 64), "bits: expected an int in 1..32, got 64"),
    ],
)
def test_clustering_refuses_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# ---- cluster_nonzero, centroid_gradient, codebook_step, compression_ratio ----------------------


@given(st.integers(0, 60), st.integers(1, 4), st.integers(0, 99))
@few
def test_only_nonzeros_are_clustered(kept: int, bits: int, seed: int) -> None:
    weight = normal(6, 5, 2, seed=seed)
    weight[0] = 0.0
    mask = torch.zeros(60, dtype=torch.bool)
    chosen = torch.randperm(60, generator=torch.Generator().manual_seed(seed))[:kept]
    mask[chosen] = True
    mask = mask.reshape(weight.shape)
    centroids, labels = clustering.cluster_nonzero(weight, mask, bits)
    decoded = clustering.decode_clusters(centroids, labels, weight.shape)
    nonzero = weight[mask & (weight != 0)]
    assert decoded.shape == labels.shape == weight.shape
    assert bool((decoded[~mask] == 0).all())
    assert bool((decoded[weight == 0] == 0).all())
    assert len(decoded[decoded != 0].unique()) <= 2**bits
    if len(nonzero.unique()) <= 2**bits:
        assert torch.equal(decoded, weight * mask)
    elif len(nonzero) <= 14:
        error = float(((decoded.double() - weight.double())[mask] ** 2).sum())
        assert error >= optimal_within(nonzero.tolist(), 2**bits) - 1e-6


def test_fine_tuning_descends_along_the_true_gradient() -> None:
    weight, x, target = normal(8, 6), normal(40, 6, seed=1), normal(40, 8, seed=2)
    mask = weight.abs() > 0.5
    centroids, labels = clustering.cluster_nonzero(weight, mask, 2)

    def loss(codebook: Tensor) -> Tensor:
        return ((x @ codebook[labels].T - target) ** 2).mean()

    leaf = centroids.clone().requires_grad_()
    loss(leaf).backward()
    assert leaf.grad is not None
    shared = centroids[labels].requires_grad_()
    ((x @ shared.T - target) ** 2).mean().backward()
    assert shared.grad is not None
    gradient = clustering.centroid_gradient(shared.grad, labels, len(centroids))
    assert torch.allclose(gradient, leaf.grad, atol=1e-6)
    moved = clustering.codebook_step(centroids, labels, shared.grad * mask, 0.05)
    assert moved[0] == 0
    assert torch.allclose(moved[1:], (centroids - 0.05 * leaf.grad)[1:], atol=1e-6)
    assert loss(moved) < loss(centroids)


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 32))
@few
def test_ratio_counts_bits(n: int, k: int, bits: int) -> None:
    label = 0
    while 2**label < k:
        label += 1
    ratio = clustering.compression_ratio(n, k, bits)
    assert ratio == pytest.approx(n * bits / (n * label + k * bits))


# ---- relative_index_encode, huffman_code, entropy ----------------------------------------------


@given(st.lists(st.sampled_from([False] * 5 + [True]), max_size=200), st.integers(1, 8))
@few
def test_relative_indices_come_back(bits_of_mask: list[bool], bits: int) -> None:
    mask = torch.tensor(bits_of_mask, dtype=torch.bool)
    gaps = coding.relative_index_encode(mask, bits)
    assert all(0 <= gap < 2**bits for gap in gaps.tolist())
    assert torch.equal(coding.relative_index_decode(gaps, len(mask), bits), mask)
    seen, at = torch.zeros_like(mask), 0  # read one by one
    for gap in gaps.tolist():
        at += gap
        if gap < 2**bits - 1:
            seen[at] = True
            at += 1
    assert torch.equal(seen, mask)
    assert len(gaps) <= int(mask.sum()) + len(mask) // (2**bits - 1)


@pytest.mark.parametrize(
    ("gaps", "n", "bits", "message"),
    [
        ([0], 1, 0, "bits: expected"),
        ([0], -1, 2, "n: expected"),
        ([4], 9, 2, "gaps: expected integers in 0..3, got 4"),
        ([-1], 9, 2, "gaps: expected integers in 0..3, got -1"),
        ([2, 2], 5, 2, "n = 5, got 5"),
    ],
)
def test_relative_indices_refuse_bad_arguments(
    gaps: list[int], n: int, bits: int, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        coding.relative_index_decode(torch.tensor(gaps), n, bits)


frequencies = st.dictionaries(st.integers(), st.integers(0, 50), max_size=30)


def least_cost(counts: list[int]) -> int:
    """Bits of the best prefix-free code: the sum of all joint weights, by sorting again."""
    trees, cost = sorted(counts), 0
    while len(trees) > 1:
        joint = trees[0] + trees[1]
        cost += joint
        trees = sorted([joint, *trees[2:]])
    return cost


@given(frequencies)
@few
def test_huffman_code_is_prefix_free_and_optimal(counts: dict[int, int]) -> None:
    code = coding.huffman_code(counts)
    assert code.keys() == counts.keys()
    assert code == coding.huffman_code(counts)
    words = sorted(code.values())
    assert all(word and set(word) <= {"0", "1"} for word in words)
    assert not any(b.startswith(a) for a, b in itertools.pairwise(words))
    if len(counts) > 1:
        cost = sum(counts[symbol] * len(word) for symbol, word in code.items())
        assert cost == least_cost(list(counts.values()))
        assert sum(2.0 ** -len(word) for word in words) == 1.0


def test_no_code_of_few_symbols_is_better() -> None:
    for counts in itertools.product(range(4), repeat=4):
        best = min(
            sum(c * length for c, length in zip(counts, lengths))
            for lengths in itertools.product(range(1, 4), repeat=4)
            if sum(2.0**-length for length in lengths) <= 1
        )
        code = coding.huffman_code(dict(enumerate(counts)))
        assert sum(c * len(code[i]) for i, c in enumerate(counts)) == best


def test_huffman_code_of_odd_symbols() -> None:
    code = coding.huffman_code({"a": 1, 2: 1, (3,): 1.0, None: 1, torch.float32: 0.5})
    assert len(set(code.values())) == 5
    assert coding.huffman_code({"only": 0}) == {"only": "0"}
    assert coding.huffman_code({}) == {}


@pytest.mark.parametrize("function", [coding.huffman_code, coding.entropy])
@pytest.mark.parametrize("bad", [-1, -0.5, math.nan])
def test_negative_frequencies_are_refused(function: Any, bad: float) -> None:
    with pytest.raises(ValueError, match="frequency of 'b': expected"):
        function({"a": 1, "b": bad})


@given(st.dictionaries(st.integers(), st.integers(0, 50), min_size=1, max_size=30))
@few
def test_entropy_is_a_mean_of_surprises(counts: dict[int, int]) -> None:
    symbols = [symbol for symbol, count in counts.items() for _ in range(count)]
    surprise = [-math.log2(counts[symbol] / len(symbols)) for symbol in symbols]
    expected = math.fsum(surprise) / len(symbols) if symbols else 0.0
    assert coding.entropy(counts) == pytest.approx(expected, abs=1e-12)


# ---- huffman_encode, huffman_decode ------------------------------------------------------------


@given(st.lists(st.integers(-3, 12) | st.integers(), max_size=300))
@few
def test_symbols_come_back_within_the_size_limit(symbols: list[int]) -> None:
    data = coding.huffman_encode(symbols)
    assert coding.huffman_decode(data) == symbols
    counts = Counter(symbols)
    if all(abs(symbol) < 2**128 for symbol in symbols):
        limit = len(symbols) * (coding.entropy(counts) + 1) / 8 + 64 + 24 * len(counts)
        assert len(data) <= limit


def test_long_code_words_come_back() -> None:
    fibonacci = [1, 1]
    while len(fibonacci) < 24:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    symbols = [symbol for symbol, count in enumerate(fibonacci) for _ in range(count)]
    random.Random(0).shuffle(symbols)
    assert max(map(len, coding.huffman_code(Counter(symbols)).values())) == 23
    assert coding.huffman_decode(coding.huffman_encode(symbols)) == symbols


# ---- compress, decompress, stage_report --------------------------------------------------------


def odd_state() -> dict[str, Tensor]:
    return {
        "conv.weight": normal(16, 8, 3, 3),
        "linear.weight": normal(40, 30, seed=1),
        "transposed": normal(30, 50, seed=2).T,
        "half": normal(40, 40, seed=3).half(),
        "bfloat": normal(40, 40, seed=4).bfloat16(),
        "double": normal(40, 40, seed=5).double(),
        "tiny": normal(2, 2, seed=6),
        "bias": normal(40, seed=7),
        "scalar": torch.tensor(2.5),
        "steps": torch.tensor(3),
        "table": torch.arange(6).reshape(2, 3),
        "flags": torch.tensor([[True, False]]),
        "complex": torch.ones(2, 2, dtype=torch.complex64) * 1j,
        "empty": torch.empty(0),
        "no rows": torch.empty(0, 3),
        "no columns": torch.empty(3, 0),
        "zeros": torch.zeros(20, 20),
        "constant": torch.full((20, 20), -1.5),
    }


@pytest.mark.parametrize(("sparsity", "bits"), [(0.0, 4), (0.3, 1), (0.3, 32), (0.9, 4), (1.0, 2)])
def test_states_come_back(sparsity: float, bits: int) -> None:
    state = odd_state()
    before = {name: tensor.clone() for name, tensor in state.items()}
    data = deep_compression.compress(state, sparsity, bits)
    assert data == deep_compression.compress(before, sparsity, bits)
    back = deep_compression.decompress(data)
    assert list(back) == list(state)
    for name, tensor in state.items():
        assert torch.equal(tensor, before[name])
        assert back[name].dtype == tensor.dtype
        assert back[name].shape == tensor.shape
        if tensor.dim() < 2 or not tensor.is_floating_point():
            assert torch.equal(back[name], tensor)
            continue
        zero, order = back[name].flatten() == 0, tensor.abs().flatten().argsort(stable=True)
        assert bool(zero[order[: round(sparsity * tensor.numel())]].all())
        assert bool((back[name][tensor == 0] == 0).all())
        assert len(back[name][back[name] != 0].unique()) <= 2**bits
        if bits == 32:
            kept = order[round(sparsity * tensor.numel()) :]
            assert torch.equal(back[name].flatten()[kept], tensor.flatten()[kept])


def test_a_compressed_state_is_compressed_without_loss() -> None:
    first = deep_compression.decompress(deep_compression.compress(odd_state(), 0.8, 4))
    again = deep_compression.decompress(deep_compression.compress(first, 0.8, 4))
    assert all(torch.equal(again[name], first[name]) for name in first)


@pytest.mark.slow
def test_files_are_read_in_a_process_of_their_own(tmp_path: Path) -> None:
    state = odd_state()
    path = tmp_path / "state.bin"
    path.write_bytes(deep_compression.compress(state, 0.7, 3))
    code = (
        "import sys, pathlib, deep_compression, torch;"
        f"state = deep_compression.decompress(pathlib.Path({str(path)!r}).read_bytes());"
        "sys.stdout.write(' '.join(f'{t.double().abs().sum():.9g}' for n, t in state.items()"
        " if t.is_floating_point()))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    here = deep_compression.decompress(path.read_bytes())
    expected = [f"{t.double().abs().sum():.9g}" for t in here.values() if t.is_floating_point()]
    assert run.stdout.split() == expected


def pruned_layer(rows: int = 200, columns: int = 300) -> dict[str, Tensor]:
    weight = normal(rows, columns)
    smallest = weight.abs().flatten().argsort()[: round(0.92 * weight.numel())]
    weight.view(-1)[smallest] = 0.0
    return {"weight": weight, "bias": normal(rows, seed=1)}


def test_the_file_is_near_the_entropy_of_its_symbols() -> None:
    state = pruned_layer()
    coded = deep_compression._code(state["weight"], 5)
    ideal = sum(
        coding.entropy(Counter(symbols)) * len(symbols) / 8
        for symbols in map(coding.huffman_decode, (coded.gaps, coded.labels))
    )
    size = len(deep_compression.compress(state, 0.0, 5)) - 4 * 200 - 4 * 32
    assert ideal < size < 1.02 * ideal + 150
    assert 4 * (200 * 300 + 200) / len(deep_compression.compress(state, 0.0, 5)) > 30


def test_stages_agree_with_counting() -> None:
    state = pruned_layer()
    report = deep_compression.stage_report(state, 0.0, 5)
    assert list(report) == ["dense", "pruned", "quantised", "huffman"]
    nonzeros = int(state["weight"].count_nonzero())
    index_bits = min(
        width * len(coding.relative_index_encode(order != 0, width))
        for order in (state["weight"], state["weight"].T)
        for width in range(1, 12)
    )
    assert report["dense"] == 4 * (200 * 300 + 200)
    assert report["pruned"] == pytest.approx((nonzeros * 32 + index_bits) / 8 + 800, rel=0.01)
    expected = (nonzeros * 5 + index_bits) / 8 + 4 * 32 + 800
    assert report["quantised"] == pytest.approx(expected, rel=0.01)
    assert report["huffman"] == len(deep_compression.compress(state, 0.0, 5))
    assert sorted(report.values(), reverse=True) == list(report.values())


def test_a_network_is_smaller_at_every_stage() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Linear(100, 50))
    report = deep_compression.stage_report(model.state_dict(), 0.9, 4)
    assert sorted(report.values(), reverse=True) == list(report.values())


@pytest.mark.parametrize("function", [deep_compression.compress, deep_compression.stage_report])
@pytest.mark.parametrize(
    ("sparsity", "bits", "message"),
    [
        (-0.1, 4, "0..1, got -0.1"),
        (1.1, 4, "1.1"),
        (math.nan, 4, "nan"),
        (0.5, 0, "1..32, got 0"),
        (0.5, 33, "33"),
        (0.5, 2.5, "2.5"),
    ],
)
def test_compression_refuses_bad_arguments(
    function: Any, sparsity: float, bits: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        function({}, sparsity, bits)
