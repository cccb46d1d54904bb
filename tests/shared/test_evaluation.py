import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from shared.evaluation import (
    compression_report,
    device_of,
    eval_mode,
    evaluate,
    measure_latency,
    pareto_front,
    topk_accuracy,
)
from shared.models import DigitsCNN
from shared.probes import GradTap, MixedModes, NoParameters, Tap

quick = settings(max_examples=50, database=None)


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


# ---- eval_mode --------------------------------------------------------------------------------


def test_eval_mode_restores_every_flag_also_after_an_exception():
    model = MixedModes()
    before = modes(model)
    with eval_mode(model):
        assert not any(modes(model).values())
    assert modes(model) == before
    with pytest.raises(KeyError), eval_mode(model):
        raise KeyError
    assert modes(model) == before


def test_device_of_a_model_with_neither_parameters_nor_buffers():
    assert device_of(NoParameters()) == torch.device("cpu")
    assert device_of(nn.Linear(1, 1, device="meta")) == torch.device("meta")
    assert device_of(nn.BatchNorm1d(2, affine=False, device="meta")) == torch.device("meta")


# ---- accuracy ---------------------------------------------------------------------------------


@quick
@given(st.data(), st.integers(1, 6), st.integers(1, 5))
def test_topk_accuracy_against_sorting(data, n, classes):
    seed = data.draw(st.integers(0, 2**31))
    k = data.draw(st.integers(1, classes))
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator)
    targets = torch.randint(classes, (n,), generator=generator)
    hits = 0
    for row, target in zip(logits.tolist(), targets.tolist()):
        hits += target in sorted(range(classes), key=lambda c: -row[c])[:k]
    assert topk_accuracy(logits, targets, k) == hits / n


@pytest.mark.parametrize(
    ("shape", "count", "k", "name"),
    [((3,), 3, 1, "logits"), ((0, 4), 0, 1, "logits"), ((2, 4), 3, 1, "targets")]
    + [((2, 4), 2, k, "k") for k in (0, 5, -1)],
)
def test_topk_accuracy_refuses(shape, count, k, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        topk_accuracy(torch.zeros(shape), torch.zeros(count, dtype=torch.int64), k)


def batches(sizes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(n, 4, 8, 8, generator=generator),
            torch.randint(3, (n,), generator=generator),
        )
        for n in sizes
    ]


def test_evaluate_averages_over_samples_not_batches():
    model, loader = MixedModes().eval(), batches([5, 5, 1])
    losses, hits = [], []
    for inputs, targets in loader:
        for x, y in zip(inputs, targets):
            logits = model(x.unsqueeze(0)).squeeze(0)
            losses.append(-math.log(F.softmax(logits, dim=0)[y].item()))
            hits.append(int(logits.argmax()) == int(y))
    loss, accuracy = evaluate(model, loader)
    assert loss == pytest.approx(sum(losses) / 11, rel=1e-4)
    assert accuracy == sum(hits) / 11


def test_evaluate_runs_in_eval_mode_without_gradients_and_restores_modes():
    seen = []
    model = nn.Sequential(
        Tap(lambda training, _: seen.append(training)),
        GradTap(lambda recording, _: seen.append(recording)),
        MixedModes(),
    )
    before, state = modes(model), {k: v.clone() for k, v in model.state_dict().items()}
    evaluate(model, batches([4]))
    assert seen == [False, False]
    assert modes(model) == before
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_evaluate_restores_modes_when_the_model_raises():
    def refuse(_training, _x):
        raise KeyError("refused")

    model = nn.Sequential(MixedModes(), Tap(refuse))
    before = modes(model)
    with pytest.raises(KeyError, match="refused"):
        evaluate(model, batches([4]))
    assert modes(model) == before


def test_evaluate_refuses_an_empty_loader():
    with pytest.raises(ValueError, match="loader"):
        evaluate(DigitsCNN(), [])


# ---- latency ----------------------------------------------------------------------------------


def timed(durations, warmup=2):
    """measure_latency on a clock that `fn` moves on; returns (result, order of events)."""
    events, now, pending = [], [0.0], list(durations)

    def clock():
        events.append("clock")
        return now[0]

    def fn():
        events.append("fn")
        if "clock" in events:
            now[0] += pending.pop(0)

    result = measure_latency(
        fn, warmup, len(durations), clock, synchronize=lambda: events.append("wait")
    )
    return result, events


def test_latency_waits_before_each_reading_and_reads_nothing_while_warming_up():
    _, events = timed([1.0, 1.0, 1.0])
    assert events == ["fn"] * 2 + ["wait", "clock", "fn", "wait", "clock"] * 3


@quick
@given(st.lists(st.integers(1, 1000).map(float), min_size=1, max_size=12))
def test_latency_median_and_percentile(durations):
    result, _ = timed(durations)
    assert result.median == pytest.approx(np.median(durations))
    assert result.p90 == pytest.approx(np.percentile(durations, 90))


def test_latency_needs_no_synchronization():
    assert measure_latency(lambda: None, 0, 1, iter([3.0, 7.0]).__next__).median == 4.0


@pytest.mark.parametrize(("warmup", "repeats", "name"), [(-1, 1, "warmup"), (0, 0, "repeats")])
def test_latency_refuses(warmup, repeats, name):
    with pytest.raises(ValueError, match=f"^{name}:"):
        measure_latency(lambda: None, warmup, repeats)


# ---- reports ----------------------------------------------------------------------------------


def test_compression_report():
    baseline = {"accuracy": 0.95, "params": 100, "bytes": 400, "macs": 3000}
    compressed = {"accuracy": 0.9, "params": 50, "bytes": 40, "macs": 0}
    report = compression_report(baseline, compressed)
    assert report == {
        "accuracy_drop": pytest.approx(0.05),
        "params_ratio": 2.0,
        "bytes_ratio": 10.0,
        "macs_ratio": math.inf,
    }


@pytest.mark.parametrize("key", ["accuracy", "params", "bytes", "macs"])
@pytest.mark.parametrize("which", [0, 1])
def test_compression_report_names_the_missing_key(key, which):
    arguments = [dict.fromkeys(("accuracy", "params", "bytes", "macs"), 1.0) for _ in range(2)]
    del arguments[which][key]
    with pytest.raises(ValueError, match=f"^{('baseline', 'compressed')[which]}: .*{key}"):
        compression_report(*arguments)


def dominates(a, b):
    return a[0] <= b[0] and a[1] >= b[1] and a != b


@quick
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_pareto_front_against_all_pairs(points):
    expected = [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]
    assert pareto_front(points) == expected
