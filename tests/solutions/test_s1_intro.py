"""The solution of session 1 against slow references and properties; its hand-out and lab sheet."""

from __future__ import annotations

import copy
import itertools
import math
import random
import re
import statistics
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.fx
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from shared import probes
from shared.data import load_digits
from shared.models import DigitsCNN, LeNet5, ResNet20
from shared.records import History, LayerCost
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s1_intro"

metrics = support.load(FOLDER, "metrics")
evaluation = support.load(FOLDER, "evaluation")
training = support.load(FOLDER, "training")
MODULES = {"metrics": metrics, "evaluation": evaluation, "training": training}
importable = support.importable(MODULES)

few = settings(max_examples=40)


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: module.training for name, module in model.named_modules()}


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def classifier(images: Tensor, targets: Tensor, batch_size: int, **options: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(images, targets), batch_size, **options)


# ---- the course material -----------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_no_other_session(name: str) -> None:
    path = FOLDER / f"{name}.py"
    outside = support.outside(support.imported(path), "torch", "numpy", *MODULES)
    assert outside == {"shared.checks", "shared.records"}
    assert not support.imported_first(path) & MODULES.keys()  # a broken one costs only who calls it


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name: str) -> None:
    assert support.expect_true_examples(MODULES[name]) > 0


def test_hand_out_gives_the_points_of_the_course() -> None:
    support.expect_points_of_the_course(FOLDER)


def worked_example(inplace: bool = False) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(inplace=inplace),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def test_worked_example_of_the_hand_out() -> None:
    model = worked_example()
    rows = metrics.profile_layers(model, (1, 1, 8, 8))
    bits = {name: 4 if "weight" in name else 32 for name, _ in model.named_parameters()}
    actual = {
        "params": metrics.count_parameters(model),
        "macs": sum(row.macs for row in rows),
        "bytes": metrics.model_bytes(model),
        "4-bit bytes": metrics.model_bytes(model, bits),
        "float BOPs": metrics.bit_operations(2944, 32, 32),
        "W4A8 BOPs": metrics.bit_operations(2944, 4, 8),
        "peak": metrics.peak_activation_bytes(model, (1, 1, 8, 8)),
        "peak in place": metrics.peak_activation_bytes(worked_example(True), (1, 1, 8, 8)),
    }
    assert list(actual.values()) == [690, 2944, 2760, 394, 3_014_656, 94_208, 2048, 1280]
    text = (FOLDER / "README.md").read_text(encoding="utf-8").replace(",", "")
    assert all(str(value) in text for value in actual.values())


def test_lab_sheet_has_model_answers_for_20_points() -> None:
    support.expect_model_answers(FOLDER, questions=6)


SMALLER = {
    "EPOCHS = 8": "EPOCHS = 2",
    "SEEDS = (4, 8, 16), (0, 1, 2)": "SEEDS = (4, 8, 16), (0,)",
}


@pytest.mark.slow
def test_lab_sheet_runs_from_top_to_bottom(tmp_path: Path) -> None:
    assert "4.1 kB instead of 16.4 kB" in support.lab_output(FOLDER, tmp_path, SMALLER)


# ---- count_parameters, model_bytes, sparsity ---------------------------------------------------


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.data())
@few
def test_counts_agree_with_counting_one_by_one(sizes: list[int], data: st.DataObject) -> None:
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
    model = nn.Sequential(*layers, nn.BatchNorm1d(sizes[-1]))
    total = trainable = nonzero = both = 0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.tensor(data.draw(st.sampled_from([0.0, -0.0, 1e-30, 2.0]))))
            parameter.requires_grad_(data.draw(st.booleans()))
            for value in parameter.flatten().tolist():
                total += 1
                trainable += parameter.requires_grad
                nonzero += value != 0
                both += parameter.requires_grad and value != 0
    assert metrics.count_parameters(model) == total
    assert metrics.count_parameters(model, trainable_only=True) == trainable
    assert metrics.count_parameters(model, nonzero_only=True) == nonzero
    assert metrics.count_parameters(model, trainable_only=True, nonzero_only=True) == both


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (probes.Tied(5), 25 + 10),
        (probes.Aliased(5), 25 + 5),
        (probes.Buffered(5), 25 + 5),
        (probes.TiedEmbedding(11, 4), 44),
        (nn.BatchNorm2d(7), 14),
        (nn.Sequential(), 0),
    ],
)
def test_shared_parameters_once_and_buffers_never(model: nn.Module, count: int) -> None:
    assert metrics.count_parameters(model) == count
    assert metrics.model_bytes(model) == 4 * count


def test_large_counts_are_exact() -> None:
    with torch.device("meta"):
        model = nn.Linear(5000, 4999)
    assert metrics.count_parameters(model) == 5000 * 4999 + 4999
    assert metrics.model_bytes(model, 3) == -(-3 * (5000 * 4999 + 4999) // 8)


@given(st.lists(st.integers(1, 7), min_size=2, max_size=5), st.data())
@few
def test_bytes_are_the_rounded_up_sum(sizes: list[int], data: st.DataObject) -> None:
    model = nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))).half()
    bits = {name: data.draw(st.integers(1, 32)) for name, _ in model.named_parameters()}
    exact = sum(Fraction(p.numel() * bits[name], 8) for name, p in model.named_parameters())
    assert metrics.model_bytes(model, bits) == math.ceil(exact)


def test_either_name_of_a_tied_parameter_is_enough() -> None:
    model = probes.Tied(3)
    biases = {"first.bias": 32, "second.bias": 32}
    for names in (["first.weight"], ["second.weight"], ["first.weight", "second.weight"]):
        assert metrics.model_bytes(model, {**biases, **dict.fromkeys(names, 8)}) == 9 + 24


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        (0, "bits: expected an int in 1..32, got 0"),
        (33, "33"),
        (2.5, "2.5"),
        ({"weight": 8}, "bias"),
        ({"weight": 8, "bias": 8, "wieght": 8}, "wieght"),
        ({"weight": 8, "bias": 0}, "bits['bias']: expected an int in 1..32, got 0"),
    ],
)
def test_bytes_refuse_bad_bits(bits: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        metrics.model_bytes(nn.Linear(2, 2), bits)


def test_bytes_refuse_two_widths_for_one_parameter() -> None:
    bits = {"first.weight": 4, "second.weight": 8, "first.bias": 8, "second.bias": 8}
    with pytest.raises(
        ValueError, match=r"second\.weight.*: expected one width per shared parameter, got 8"
    ):
        metrics.model_bytes(probes.Tied(3), bits)


@given(st.lists(st.sampled_from([0.0, -0.0, 1e-38, -3.0]), max_size=30))
@few
def test_sparsity_is_the_share_of_exact_zeros(values: list[float]) -> None:
    expected = sum(value == 0 for value in values) / len(values) if values else 0.0
    assert metrics.sparsity(torch.tensor(values)) == expected


def test_sparsity_of_a_model_leaves_vectors_out_and_weighs_by_size() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 10))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0 if parameter.dim() >= 2 else 0.0)
        assert isinstance(model[0].weight, Tensor)
        model[0].weight.zero_()
    assert metrics.sparsity(model) == 6 / 36
    assert metrics.sparsity(nn.BatchNorm1d(3)) == 0.0
    tied = nn.Sequential(probes.Tied(2), nn.Linear(2, 2))
    with torch.no_grad():
        for parameter in tied.parameters():
            parameter.fill_(1.0)
        tied[0].first.weight.zero_()  # type: ignore[union-attr,operator]  # a probe's layer
    assert metrics.sparsity(tied) == 0.5


# ---- conv2d_macs, linear_macs, bit_operations --------------------------------------------------

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    pairs,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    pairs,
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    pairs,
)
@few
def test_conv_macs_agree_with_running_the_convolution(
    inputs: int,
    outputs: int,
    groups: int,
    kernel: tuple[int, int],
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> None:
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel)]
    assume(all(s + 2 * p >= r for s, p, r in zip(size, padding, reach)))
    weight = torch.ones(outputs * groups, inputs, *kernel)
    # A sample of ones, in a frame of ones instead of zeros: every product adds exactly 1.
    image = torch.ones(1, inputs * groups, size[0] + 2 * padding[0], size[1] + 2 * padding[1])
    expected = F.conv2d(image, weight, stride=stride, dilation=dilation, groups=groups).sum()
    macs = metrics.conv2d_macs(
        inputs * groups, outputs * groups, kernel, size, stride, padding, dilation, groups
    )
    assert macs == int(expected)


def test_conv_macs_take_ints_for_pairs_and_are_exact() -> None:
    assert metrics.conv2d_macs(3, 8, 3, 9, 2, 1, 2, 1) == metrics.conv2d_macs(
        3, 8, (3, 3), [9, 9], (2, 2), (1, 1), (2, 2)
    )
    assert metrics.conv2d_macs(1001, 999, 3, 101, padding=1) == 1001 * 999 * 9 * 101 * 101


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": 2}, "groups: expected a divisor of 4 and 9"),
        ({"groups": 3}, "groups: expected a divisor of 4 and 9"),
        ({"groups": 0}, "groups: expected an int of at least 1, got 0"),
        ({"kernel": 9}, "input_hw: expected at least the kernel's window, got 8"),
        ({"input_hw": (8, 2)}, "kernel's window, got (8, 2)"),
        ({"dilation": 4}, "input_hw: expected"),
        ({"padding": "same"}, "padding: expected an int of at least 0, got 'same'"),
        ({"padding": -1}, "padding"),
        ({"stride": 0}, "stride"),
        ({"stride": (1, 1, 1)}, "stride"),
        ({"kernel": 2.5}, "kernel"),
        ({"in_channels": 0}, "in_channels"),
        ({"out_channels": 1.0}, "out_channels"),
    ],
)
def test_conv_macs_refuse_impossible_convolutions(arguments: dict[str, Any], message: str) -> None:
    usual = {"in_channels": 4, "out_channels": 9, "kernel": 3, "input_hw": 8}
    with pytest.raises(ValueError, match=re.escape(message)):
        metrics.conv2d_macs(**{**usual, **arguments})


def test_linear_macs_and_bit_operations_multiply() -> None:
    assert metrics.linear_macs(3, 4) == 12
    assert metrics.linear_macs(10**6 + 1, 10**6 + 3, 7) == (10**6 + 1) * (10**6 + 3) * 7
    assert metrics.bit_operations(10**12 + 1, 7, 9) == (10**12 + 1) * 63
    assert metrics.bit_operations(0, 1, 32) == 0


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("linear_macs", (0, 4), "in_features: expected an int of at least 1, got 0"),
        ("linear_macs", (3, 1.5), "out_features"),
        ("linear_macs", (3, 4, 0), "tokens"),
        ("bit_operations", (-1, 8, 8), "macs"),
        ("bit_operations", (12, 0, 8), "weight_bits: expected an int in 1..32, got 0"),
        ("bit_operations", (12, 8, 33), "activation_bits"),
        ("bit_operations", (12, 8, 2.5), "activation_bits"),
    ],
)
def test_counts_refuse_bad_arguments(function: str, arguments: tuple[Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(metrics, function)(*arguments)


# ---- profile_layers ----------------------------------------------------------------------------

NETWORKS: list[tuple[nn.Module, tuple[int, ...]]] = [
    (DigitsCNN(), (2, 1, 8, 8)),
    (LeNet5(), (1, 1, 28, 28)),
    (ResNet20(), (1, 3, 32, 32)),
    (probes.Residual(), (2, 4, 6, 6)),
    (probes.LongSkip(), (1, 3, 6, 6)),
    (probes.MultiBranch(), (2, 4, 6, 6)),
    (probes.Reused(5, 3), (2, 5)),
    (probes.Tied(), (2, 5)),
    (probes.Buffered(), (2, 5)),
    (probes.NoParameters(), (2, 3, 4, 4)),
    (probes.Grouped(), (2, 4, 9, 9)),
    (probes.DepthwiseSeparable(), (2, 4, 6, 6)),
    (probes.FunctionalConv(groups=2), (2, 4, 6, 6)),
    (probes.FunctionalLinear(), (2, 5)),
    (probes.MatrixProduct(), (2, 3, 5)),
    (probes.Einsum(), (2, 3, 5)),
    (probes.WrittenOutAttention(), (2, 3, 5)),
    (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5)),
    (nn.Conv1d(3, 4, 3), (2, 3, 9)),
    (nn.Linear(3, 4), (2, 5, 3)),
]


def flops_by_torch(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Torch's own counter; one MAC is two FLOPs."""
    twin = copy.deepcopy(model).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        twin(torch.zeros(shape))
    return int(counter.get_total_flops())


@pytest.mark.parametrize(("model", "shape"), NETWORKS, ids=lambda value: type(value).__name__)
def test_profile_agrees_with_torchs_counter(model: nn.Module, shape: tuple[int, ...]) -> None:
    rows = metrics.profile_layers(model, shape)
    assert 2 * shape[0] * sum(row.macs for row in rows) == flops_by_torch(model, shape)


@pytest.mark.parametrize("batch", [1, 3])
def test_profile_rows_of_the_worked_example(batch: int) -> None:
    assert metrics.profile_layers(worked_example(), (batch, 1, 8, 8)) == [
        LayerCost("0", "Conv2d", 40, 2304, (batch, 4, 8, 8)),
        LayerCost("1", "ReLU", 0, 0, (batch, 4, 8, 8)),
        LayerCost("2", "MaxPool2d", 0, 0, (batch, 4, 4, 4)),
        LayerCost("3", "Flatten", 0, 0, (batch, 64)),
        LayerCost("4", "Linear", 650, 640, (batch, 10)),
    ]


def test_profile_has_a_row_per_call_under_the_first_name() -> None:
    rows = metrics.profile_layers(probes.Reused(5, 2), (1, 5))
    assert [row.name for row in rows] == ["linear", "relu", "linear", "relu"]
    assert [row.params for row in rows] == [30, 0, 30, 0]
    assert [r.name for r in metrics.profile_layers(probes.Aliased(5), (1, 5))] == ["first"] * 2
    assert [r.name for r in metrics.profile_layers(nn.Linear(2, 2), (1, 2))] == [""]


def test_profile_puts_products_outside_layers_in_call_order() -> None:
    linear, product = metrics.profile_layers(probes.FunctionalLinear(5, 3), (2, 5))
    assert (linear.kind, linear.macs) == ("Linear", 25)
    assert (product.kind, product.macs, product.out_shape) == ("mm", 15, (2, 3))


@pytest.mark.parametrize(
    "model", [probes.Attention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)]
)
def test_profile_sees_the_products_of_fused_attention(model: nn.Module) -> None:
    tokens, width = 5, 8
    call = model if isinstance(model, probes.Attention) else SelfAttention(model)
    enabled = torch.backends.mha.get_fastpath_enabled()
    total = sum(row.macs for row in metrics.profile_layers(call, (2, tokens, width)))
    assert total == 4 * tokens * width * width + 2 * tokens * tokens * width
    assert torch.backends.mha.get_fastpath_enabled() is enabled


class SelfAttention(nn.Module):
    """Attention of a sequence to itself, in one argument."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


def test_profile_counts_products_of_vectors() -> None:
    class Vectors(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            scores = x @ torch.ones(4)  # mv: 4 products per row
            return torch.addmv(scores, x, torch.ones(4)) + torch.dot(scores, scores)

    assert sum(row.macs for row in metrics.profile_layers(Vectors(), (1, 4))) == 4 + 4 + 1


def test_profile_follows_the_dtype() -> None:
    rows = metrics.profile_layers(worked_example().double(), (1, 1, 8, 8))
    assert sum(row.macs for row in rows) == 2944


MEASURES: list[Callable[[nn.Module, Any], object]] = [
    metrics.profile_layers,
    metrics.peak_activation_bytes,
]


@pytest.mark.parametrize("measure", MEASURES)
def test_measuring_leaves_no_trace(measure: Callable[[nn.Module, Any], object]) -> None:
    model = probes.MixedModes(4).train()
    model.frozen.eval()
    calls: list[str] = []
    model.conv.register_forward_hook(lambda *_: calls.append("owner"))
    modes_before, state_before = modes(model), copy.deepcopy(model.state_dict())
    generators = support.generator_states()
    measure(model, (3, 4, 6, 6))
    assert modes(model) == modes_before
    assert all(torch.equal(value, state_before[name]) for name, value in model.state_dict().items())
    assert support.generator_states() == generators
    assert hooks(model) == 1
    assert calls == ["owner"]


@pytest.mark.parametrize("measure", MEASURES)
def test_measuring_runs_in_eval_mode_without_gradients(
    measure: Callable[[nn.Module, Any], object],
) -> None:
    seen: list[bool] = []
    model = nn.Sequential(
        probes.Tap(lambda training, _: seen.append(training)),
        probes.GradTap(lambda recording, _: seen.append(recording)),
        nn.Linear(3, 3),
    )
    measure(model.train(), (1, 3))
    assert seen == [False, False]


@pytest.mark.parametrize("measure", MEASURES)
def test_measuring_a_model_that_raises(measure: Callable[[nn.Module, Any], object]) -> None:
    model = probes.Raises(5, "as it should").train()
    model.frozen.eval()
    before = modes(model)
    with pytest.raises(RuntimeError, match="as it should"):
        measure(model, (2, 5))
    assert modes(model) == before
    assert hooks(model) == 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, -3)])
def test_measuring_refuses_bad_shapes(
    measure: Callable[[nn.Module, Any], object], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{shape!r}")):
        measure(nn.Linear(3, 3), shape)


# ---- peak_activation_bytes ---------------------------------------------------------------------


class Keeper(torch.fx.Interpreter):
    """Runs a traced graph node by node and keeps every result, so that no address is reused."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.results: dict[torch.fx.Node, Any] = {}

    def run_node(self, n: torch.fx.Node) -> Any:
        self.results[n] = super().run_node(n)
        return self.results[n]


def peak_by_graph(model: nn.Module, shape: tuple[int, ...]) -> int:
    """The peak from torch.fx's graph: modules and functions as operators, lives by last use."""
    keeper = Keeper(torch.fx.symbolic_trace(copy.deepcopy(model).eval()))
    with torch.no_grad():
        keeper.run(torch.zeros(shape))
    ours = {p.data_ptr() for p in (*model.parameters(), *model.buffers())}
    sizes: dict[int, int] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for step, (node, result) in enumerate(keeper.results.items()):
        if node.op == "get_attr":
            continue
        for value in tree_leaves(
            [result, [keeper.results[source] for source in node.all_input_nodes]]
        ):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                sizes[storage.data_ptr()] = storage.nbytes()
                first.setdefault(storage.data_ptr(), step)
                last[storage.data_ptr()] = step
    return max(
        sum(sizes[name] for name in sizes.keys() - ours if first[name] <= step <= last[name])
        for step in range(len(keeper.results))
    )


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (worked_example(), (3, 1, 8, 8)),
        (worked_example(inplace=True), (1, 1, 8, 8)),
        (DigitsCNN(), (2, 1, 8, 8)),
        (LeNet5(), (1, 1, 28, 28)),
        (ResNet20(), (1, 3, 32, 32)),
        (probes.Residual(), (2, 4, 6, 6)),
        (probes.LongSkip(2, 8, 3), (1, 2, 6, 6)),
        (probes.LongSkip(9, 4, 2), (1, 9, 6, 6)),
        (probes.MultiBranch(), (1, 4, 6, 6)),
        (probes.InPlace(), (1, 3, 6, 6)),
        (probes.Views(), (1, 4, 6, 6)),
        (probes.NoParameters(), (1, 2, 4, 4)),
        (probes.Tied(), (2, 5)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_peak_agrees_with_the_traced_graph(model: nn.Module, shape: tuple[int, ...]) -> None:
    assert metrics.peak_activation_bytes(model, shape) == peak_by_graph(model, shape)


def test_peak_follows_batch_and_dtype() -> None:
    model = worked_example()
    assert metrics.peak_activation_bytes(model, (5, 1, 8, 8)) == 5 * 2048
    assert metrics.peak_activation_bytes(model.double(), (1, 1, 8, 8)) == 2 * 2048


@pytest.mark.parametrize(
    ("forward", "floats"),
    [
        pytest.param(lambda x: x, 4, id="the input alone"),
        pytest.param(lambda x: x.flatten().view(2, 2).t(), 4, id="views"),
        pytest.param(lambda x: x.relu().relu().relu(), 8, id="a chain"),
        pytest.param(lambda x: x + x.relu().relu(), 12, id="a skip connection"),
        pytest.param(lambda x: (x.relu(), x.relu(), x.relu())[0], 12, id="first of three"),
        pytest.param(lambda x: [x.relu(), {"a": x.relu()}], 12, id="nested outputs"),
        pytest.param(lambda x: x.relu().add_(1).mul_(2), 8, id="in place"),
        pytest.param(lambda x: torch.cat([x, x]), 12, id="lists of inputs"),
        pytest.param(lambda x: x.max(dim=0, keepdim=True).values * x, 12, id="indices unread"),
        pytest.param(lambda x: x.expand(3, 4) + 1, 16, id="an expanded view is small"),
        pytest.param(lambda x: torch.where(x > 0, x, x), 9, id="a mask has a byte per element"),
        pytest.param(lambda x: x + torch.ones(1, 4), 12, id="a constant made on the way"),
        pytest.param(lambda x: torch.ones(8).relu()[:4] + x, 20, id="an input that waits"),
    ],
)
def test_peak_by_hand(forward: Callable[[Tensor], Any], floats: int) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return forward(x)

    assert metrics.peak_activation_bytes(Model(), (1, 4)) == 4 * floats


def test_indices_count_once_they_are_read() -> None:
    class Unpool(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pooled, indices = F.max_pool1d(x, 2, return_indices=True)
            return F.max_unpool1d(pooled, indices, [2])

    # Pooling: 8 floats in, 4 floats and 4 int64 out; unpooling: those in, 8 floats out.
    assert metrics.peak_activation_bytes(Unpool(), (1, 1, 8)) == 4 * 8 + 4 * 4 + 8 * 4


# ---- topk_accuracy, evaluate -------------------------------------------------------------------


@given(st.integers(1, 6), st.integers(1, 8), st.randoms(use_true_random=False))
@few
def test_topk_agrees_with_ranks(classes: int, n: int, rnd: random.Random) -> None:
    rows = [rnd.sample(range(100), classes) for _ in range(n)]
    targets = [rnd.randrange(classes) for _ in range(n)]
    for k in range(1, classes + 1):
        ranks = [sum(v > row[t] for v in row) for row, t in zip(rows, targets)]
        expected = sum(rank < k for rank in ranks) / n
        logits = torch.tensor(rows, dtype=torch.float32)
        assert evaluation.topk_accuracy(logits, torch.tensor(targets), k) == expected


@pytest.mark.parametrize(
    ("logits", "targets", "k", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), 1, "(0, 3)"),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int64), 1, "(3,)"),
        (torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.int64), 1, "(2, 3, 4)"),
        (
            torch.zeros(2, 3),
            torch.zeros(3, dtype=torch.int64),
            1,
            "targets: expected shape (2,), got (3,)",
        ),
        (torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.int64), 1, "(2, 1)"),
        (
            torch.zeros(2, 3),
            torch.zeros(2, dtype=torch.int64),
            4,
            "k: expected an int in 1..3, got 4",
        ),
        (
            torch.zeros(2, 3),
            torch.zeros(2, dtype=torch.int64),
            0,
            "k: expected an int in 1..3, got 0",
        ),
    ],
)
def test_topk_refuses_bad_arguments(logits: Tensor, targets: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        evaluation.topk_accuracy(logits, targets, k)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_evaluate_averages_over_samples(batch_size: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 3))
    images, targets = torch.randn(17, 4), torch.randint(3, (17,))
    twin = copy.deepcopy(model).double().eval()
    losses, right = [], 0
    for image, target in zip(images.double(), targets.tolist()):
        logits = twin(image[None])[0].tolist()
        losses.append(math.log(sum(map(math.exp, logits))) - logits[target])
        right += logits.index(max(logits)) == target
    loss, accuracy = evaluation.evaluate(model.train(), classifier(images, targets, batch_size))
    assert loss == pytest.approx(math.fsum(losses) / 17, rel=1e-5)
    assert accuracy == right / 17


def test_evaluate_restores_modes_and_records_no_gradients() -> None:
    seen: list[bool] = []
    model = nn.Sequential(
        probes.GradTap(lambda recording, _: seen.append(recording)), probes.MixedModes(4, 3)
    ).train()
    before = modes(model)
    loader = classifier(torch.ones(3, 4, 6, 6), torch.zeros(3, dtype=torch.int64), 2)
    evaluation.evaluate(model, loader)
    assert seen == [False, False]
    assert modes(model) == before


def test_evaluate_restores_modes_when_something_raises() -> None:
    def broken() -> Iterator[tuple[Tensor, Tensor]]:
        yield torch.ones(2, 4, 6, 6), torch.zeros(2, dtype=torch.int64)
        raise OSError("disk")

    model = probes.MixedModes(4, 3).train()
    before = modes(model)
    with pytest.raises(OSError, match="disk"):
        evaluation.evaluate(model, broken())
    assert modes(model) == before
    with pytest.raises(ValueError, match="loader"):
        evaluation.evaluate(model, [])
    assert modes(model) == before


# ---- measure_latency ---------------------------------------------------------------------------


class Device:
    """Queues work that takes scripted times; time passes only while somebody waits for it."""

    def __init__(self, durations: list[float]) -> None:
        self.durations = iter(durations)
        self.now = self.queued = 0.0
        self.log: list[str] = []

    def launch(self) -> None:
        self.log.append("fn")
        self.queued += next(self.durations)

    def synchronize(self) -> None:
        self.log.append("sync")
        self.now += self.queued
        self.queued = 0.0

    def clock(self) -> float:
        self.log.append("clock")
        return self.now


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=30), st.integers(0, 4))
@few
def test_latency_is_median_and_p90(times: list[int], warmup: int) -> None:
    device = Device([float(10**6)] * warmup + [float(time) for time in times])
    latency = evaluation.measure_latency(
        device.launch, warmup, len(times), device.clock, device.synchronize
    )
    assert latency.median == statistics.median(times)
    tenths = statistics.quantiles(times, n=10, method="inclusive")
    assert latency.p90 == pytest.approx(tenths[-1])
    assert device.log == ["fn"] * warmup + ["sync", "clock", "fn", "sync", "clock"] * len(times)


def test_latency_without_a_device_and_with_one_repeat() -> None:
    ticks = iter([5.0, 7.0])
    latency = evaluation.measure_latency(lambda: None, 0, 1, lambda: next(ticks))
    assert latency.median == latency.p90 == 2.0
    calls: list[int] = []
    real = evaluation.measure_latency(lambda: calls.append(1))
    assert len(calls) == 60
    assert 0 <= real.median <= real.p90


@pytest.mark.parametrize(
    ("arguments", "message"), [({"repeats": 0}, "repeats"), ({"warmup": -1}, "warmup")]
)
def test_latency_refuses_bad_arguments(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        evaluation.measure_latency(lambda: None, **arguments)


# ---- compression_report, pareto_front ----------------------------------------------------------


def test_report_is_drop_and_ratios() -> None:
    before = {"accuracy": 0.9, "params": 10, "bytes": 40, "macs": 7, "seconds": 3}
    after = {"accuracy": 0.95, "params": 4, "bytes": 0, "macs": 7}
    assert evaluation.compression_report(before, after) == {
        "accuracy_drop": pytest.approx(-0.05),
        "params_ratio": 2.5,
        "bytes_ratio": math.inf,
        "macs_ratio": 1.0,
    }


@pytest.mark.parametrize("key", ["accuracy", "params", "bytes", "macs"])
def test_report_refuses_a_missing_key(key: str) -> None:
    whole = {"accuracy": 0.9, "params": 10, "bytes": 40, "macs": 7}
    part = {name: value for name, value in whole.items() if name != key}
    with pytest.raises(ValueError, match=f"compressed: expected the keys .*{key}"):
        evaluation.compression_report(whole, part)
    with pytest.raises(ValueError, match=f"baseline: expected the keys .*{key}"):
        evaluation.compression_report(part, whole)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15))
@settings(max_examples=300)
def test_front_agrees_with_comparing_all_pairs(points: list[tuple[int, int]]) -> None:
    expected = [
        i
        for i, (cost, accuracy) in enumerate(points)
        if not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points)
    ]
    assert evaluation.pareto_front(points) == expected
    assert evaluation.pareto_front([list(point) for point in points]) == expected


# ---- split, mixup, cutmix, warmup_cosine -------------------------------------------------------


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 2**40))
@few
def test_split_is_a_partition(n: int, fraction: float, seed: int) -> None:
    before = support.generator_states()
    train, validation = training.split(n, fraction, seed)
    assert sorted(train + validation) == list(range(n))
    assert len(validation) == round(n * fraction)
    assert (train, validation) == training.split(n, fraction, seed)
    assert support.generator_states() == before


def test_split_is_shuffled_by_the_seed() -> None:
    held_out = [training.split(100, 0.2, seed)[1] for seed in range(5)]
    assert len({tuple(indices) for indices in held_out}) == 5
    assert all(indices != sorted(indices) for indices in held_out)
    assert not set(range(80, 100)).issuperset(held_out[0])


@pytest.mark.parametrize(
    ("n", "fraction", "message"),
    [(-1, 0.5, "n: expected"), (5, -0.1, "-0.1"), (5, 1.1, "1.1"), (5, math.nan, "nan")],
)
def test_split_refuses_bad_arguments(n: int, fraction: float, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        training.split(n, fraction, 0)


def samples(n: int, height: int, width: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Images, soft targets and a permutation, in float64."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randn(n, 2, height, width, generator=draw, dtype=torch.float64)
    targets = torch.rand(n, 3, generator=draw, dtype=torch.float64)
    return images, targets, torch.randperm(n, generator=draw)


@given(st.integers(1, 5), st.floats(0, 1), st.integers(0, 99))
@few
def test_mixup_agrees_with_a_loop(n: int, lam: float, seed: int) -> None:
    images, targets, permutation = samples(n, 3, 4, seed)
    kept = images.clone(), targets.clone(), permutation.clone()
    mixed, soft = training.mixup(images, targets, lam, permutation)
    for i, j in enumerate(permutation.tolist()):
        assert torch.allclose(mixed[i], lam * images[i] + (1 - lam) * images[j])
        assert torch.allclose(soft[i], lam * targets[i] + (1 - lam) * targets[j])
    assert mixed.dtype == soft.dtype == torch.float64
    assert all(map(torch.equal, (images, targets, permutation), kept))
    assert training.mixup(images[:, 0, 0], targets, lam, permutation)[0].shape == (n, 4)


@given(
    st.integers(1, 4),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.floats(0, 1),
    st.tuples(st.integers(0, 8), st.integers(0, 8)),
    st.integers(0, 99),
)
@settings(max_examples=100)
def test_cutmix_agrees_with_a_loop_over_pixels(
    n: int, size: tuple[int, int], lam: float, center: tuple[int, int], seed: int
) -> None:
    images, targets, permutation = samples(n, *size, seed)
    kept = images.clone(), targets.clone()
    mixed, soft = training.cutmix(images, targets, lam, permutation, center)
    half = [int(extent * math.sqrt(1 - lam)) // 2 for extent in size]
    expected, replaced = images.clone(), 0
    for row in range(size[0]):
        for column in range(size[1]):
            if all(-h <= at - c < h for at, c, h in zip((row, column), center, half)):
                expected[:, :, row, column] = images[permutation, :, row, column]
                replaced += 1
    share = 1 - replaced / (size[0] * size[1])
    assert torch.equal(mixed, expected)
    assert torch.allclose(soft, share * targets + (1 - share) * targets[permutation])
    assert mixed.dtype == soft.dtype == torch.float64
    assert all(map(torch.equal, (images, targets), kept))


MIXERS: dict[str, Callable[..., object]] = {
    "mixup": training.mixup,
    "cutmix": lambda *args: training.cutmix(*args, center=(1, 1)),
}


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lam": -0.1}, "lam: expected a number in 0..1, got -0.1"),
        ({"lam": 1.1}, "1.1"),
        ({"lam": math.nan}, "nan"),
        ({"targets": torch.zeros(3, 2)}, "targets: expected shape (2, C), got (3, 2)"),
        ({"targets": torch.zeros(2)}, "(2,)"),
        ({"permutation": torch.tensor([0])}, "permutation: expected shape (2,), got (1,)"),
    ],
)
def test_mixing_refuses_bad_arguments(mixer: str, change: dict[str, Any], message: str) -> None:
    arguments = {
        "images": torch.zeros(2, 1, 3, 3),
        "targets": torch.eye(2),
        "lam": 0.5,
        "permutation": torch.tensor([1, 0]),
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        MIXERS[mixer](*{**arguments, **change}.values())


def test_cutmix_refuses_what_has_no_height_and_width() -> None:
    with pytest.raises(ValueError, match=re.escape("(2, 9)")):
        training.cutmix(torch.zeros(2, 9), torch.eye(2), 0.5, torch.tensor([1, 0]), (1, 1))


@pytest.mark.parametrize("floor", [0.0, 0.02])
def test_schedule_agrees_with_torchs_cosine(floor: float) -> None:
    warmup, total, peak = 5, 25, 0.3
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=peak)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total - warmup, eta_min=floor)
    for step in range(warmup, total + 1):
        rate = training.warmup_cosine(step, warmup, total, peak, floor)
        assert rate == pytest.approx(cosine.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        cosine.step()
    for step in range(warmup):
        assert training.warmup_cosine(step, warmup, total, peak, floor) == peak * step / warmup
    assert training.warmup_cosine(10 * total, warmup, total, peak, floor) == floor
    assert training.warmup_cosine(0, 0, total, peak, floor) == peak


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 5, 10, 1.0), "step: expected at least 0, got -1"),
        ((0, 10, 10, 1.0), "below total 10, got 10"),
        ((0, 11, 10, 1.0), "11"),
        ((0, -1, 10, 1.0), "-1"),
        ((0, 1, 10, 1.0, 2.0), "floor: expected at most peak 1.0, got 2.0"),
    ],
)
def test_schedule_refuses_bad_arguments(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        training.warmup_cosine(*arguments)


# ---- fit ---------------------------------------------------------------------------------------


def blobs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Three well separated classes in the plane."""
    draw = torch.Generator().manual_seed(seed)
    targets = torch.randint(3, (n,), generator=draw)
    means = torch.tensor([[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]])
    return means[targets] + torch.randn(n, 2, generator=draw), targets


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def test_fit_trains_in_place_and_keeps_a_record() -> None:
    model = small_net()
    history = training.fit(model, classifier(*blobs(300, 0), 16), classifier(*blobs(50, 1), 20), 4)
    assert isinstance(history, History)
    assert [len(part) for part in vars(history).values()] == [4, 4, 4]
    assert history.train_loss[-1] < history.train_loss[0]
    images, targets = blobs(50, 1)
    logits = model.eval()(images)
    assert history.val_accuracy[-1] == int((logits.argmax(1) == targets).sum()) / 50
    assert history.val_loss[-1] == pytest.approx(F.cross_entropy(logits, targets).item(), rel=1e-5)
    assert history.val_accuracy[-1] > 0.9


def test_fit_learns_nothing_from_validation() -> None:
    states = []
    for images, targets in (blobs(50, 1), (100 * torch.ones(7, 2), torch.zeros(7).long())):
        model = small_net()
        training.fit(model, classifier(*blobs(90, 0), 32), classifier(images, targets, 20), 3)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_fit_switches_modes_every_epoch() -> None:
    seen: list[bool] = []
    model = nn.Sequential(probes.Tap(lambda train, _: seen.append(train)), small_net()).eval()
    training.fit(model, classifier(*blobs(40, 0), 20), classifier(*blobs(10, 1), 10), 2)
    assert seen == [True, True, False] * 2


def test_fit_leaves_frozen_parameters_alone() -> None:
    model = small_net()
    model[0].requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    training.fit(model, classifier(*blobs(90, 0), 32), classifier(*blobs(50, 1), 20), 1)
    assert torch.equal(model.state_dict()["0.weight"], before["0.weight"])
    assert not torch.equal(model.state_dict()["3.weight"], before["3.weight"])


def test_fit_refuses_bad_arguments() -> None:
    full, empty = classifier(*blobs(9, 0), 3), classifier(*blobs(9, 0), 10, drop_last=True)
    for arguments, message in (
        ((full, full, 0), "epochs: expected an int of at least 1, got 0"),
        ((empty, full, 1), "train_loader"),
        ((full, empty, 1), "val_loader"),
    ):
        with pytest.raises(ValueError, match=message):
            training.fit(small_net(), *arguments)


def digits_accuracy(seed: int, epochs: int) -> float:
    """Validation accuracy of a small network on the digits, one thread or many."""
    data = load_digits().scaled()
    torch.manual_seed(seed)
    train = classifier(
        data.train.images,
        data.train.labels,
        64,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )
    validation = classifier(data.validation.images, data.validation.labels, 360)
    return float(training.fit(DigitsCNN(), train, validation, epochs).val_accuracy[-1])


@pytest.mark.slow
def test_fit_reaches_97_percent_on_digits() -> None:
    assert digits_accuracy(seed=0, epochs=10) >= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 8))
def test_fit_reaches_97_percent_with_every_seed(seed: int) -> None:
    assert digits_accuracy(seed, epochs=10) >= 0.97
