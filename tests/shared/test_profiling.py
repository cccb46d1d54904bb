import contextlib
import gc
import itertools
import threading
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations, prune
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.flop_counter import FlopCounterMode

from shared import probes, tracing
from shared.models import LeNet5, ResNet20
from shared.profiling import (
    bit_operations,
    conv2d_macs,
    count_parameters,
    dummy_input,
    linear_macs,
    model_bytes,
    peak_activation_bytes,
    profile,
    profile_layers,
    sparsity,
)
from shared.records import LayerCost

quick = settings(max_examples=40, database=None)


def modes(model):
    return {name: module.training for name, module in model.named_modules()}


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def total(model, shape):
    return sum(layer.macs for layer in profile_layers(model, shape))


# ---- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (probes.Tied(5), 25 + 5 + 5),
        (probes.Aliased(5), 25 + 5),
        (probes.TiedEmbedding(11, 4), 44),
        (probes.Buffered(5), 30),
        (probes.MaskedLinear(6, 4), 24 + 4),
        (probes.Unused(5), 30 + 60),
        (probes.NoParameters(), 0),
    ],
    ids=lambda value: type(value).__name__,
)
def test_count_parameters(model, expected):
    assert count_parameters(model) == expected
    assert type(count_parameters(model)) is int


def test_count_parameters_trainable_and_nonzero():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
        model[0].weight[:2] = 0.0
        model[1].weight[0, :3] = -0.0
    model[0].requires_grad_(False)
    assert count_parameters(model) == 16 + 10
    assert count_parameters(model, trainable_only=True) == 10
    assert count_parameters(model, nonzero_only=True) == 26 - 6 - 3
    assert count_parameters(model, trainable_only=True, nonzero_only=True) == 10 - 3


@quick
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 32)), min_size=1, max_size=5))
def test_model_bytes_rounds_up_once(sizes):
    model = nn.ParameterList([nn.Parameter(torch.zeros(n)) for n, _ in sizes])
    bits = {str(i): width for i, (_, width) in enumerate(sizes)}
    expected = sum(n * width for n, width in sizes)
    assert model_bytes(model, bits) == -(-expected // 8)
    assert model_bytes(model.half(), bits) == -(-expected // 8)
    assert model_bytes(model, 3) == -(-3 * sum(n for n, _ in sizes) // 8)


def test_model_bytes_of_a_shared_parameter():
    tied = probes.Tied(5)  # first.weight is second.weight
    biases = {"first.bias": 32, "second.bias": 32}
    assert model_bytes(tied) == 4 * 35
    assert model_bytes(tied, {"first.weight": 8, **biases}) == 25 + 40
    assert model_bytes(tied, {"second.weight": 8, **biases}) == 25 + 40
    assert model_bytes(tied, {"first.weight": 8, "second.weight": 8, **biases}) == 25 + 40


@pytest.mark.parametrize("bits", [0, 33, -1, 8.0, True, "8", None])
def test_bits_must_be_an_int_in_1_to_32(bits):
    with pytest.raises(ValueError, match="bits"):
        model_bytes(nn.Linear(2, 2), bits)
    with pytest.raises(ValueError, match="bits"):
        model_bytes(nn.Linear(2, 2), {"weight": bits, "bias": 8})
    with pytest.raises(ValueError, match="weight_bits"):
        bit_operations(1, bits, 8)
    with pytest.raises(ValueError, match="activation_bits"):
        bit_operations(1, 8, bits)


@pytest.mark.parametrize(
    ("bits", "name"),
    [
        ({"weight": 8}, "'bias'"),
        ({"weight": 8, "bias": 8, "wieght": 8}, "'wieght'"),
        ({}, "'weight'"),
    ],
)
def test_model_bytes_names_what_is_missing_or_unknown(bits, name):
    with pytest.raises(ValueError, match=name):
        model_bytes(nn.Linear(2, 2), bits)


def test_model_bytes_refuses_two_numbers_for_one_parameter():
    bits = {"first.weight": 8, "second.weight": 4, "first.bias": 8, "second.bias": 8}
    with pytest.raises(ValueError, match=r"second\.weight"):
        model_bytes(probes.Tied(5), bits)


def test_sparsity():
    assert sparsity(torch.tensor([0.0, -0.0, 1e-30, float("nan")])) == 0.5
    assert sparsity(torch.zeros(0)) == 0.0
    assert sparsity(torch.zeros(2, 3, dtype=torch.int8)) == 1.0
    assert sparsity(probes.NoParameters()) == 0.0


def test_sparsity_of_a_model_is_over_matrices_each_once():
    tied = probes.Tied(5)
    nn.init.ones_(tied.first.weight)
    nn.init.zeros_(tied.first.bias)
    with torch.no_grad():
        tied.first.weight[0] = 0.0
    assert sparsity(tied) == 5 / 25


# ---- formulas ---------------------------------------------------------------------------------


def slow_conv2d_macs(inputs, outputs, kernel, size, stride, padding, dilation, groups):
    """Counts the multiplications of the convolution's definition, loop by loop."""
    spans = [
        range(-p, n + p - d * (k - 1), s)
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation)
    ]
    count = 0
    for _group, _y, _x in itertools.product(range(groups), *spans):
        for _out in range(outputs // groups):
            for _in in range(inputs // groups):
                for _ky in range(kernel[0]):
                    for _kx in range(kernel[1]):
                        count += 1
    return count


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 3))
    return {
        "in_channels": groups * draw(st.integers(1, 3)),
        "out_channels": groups * draw(st.integers(1, 3)),
        "kernel": draw(pairs),
        "input_hw": draw(st.tuples(st.integers(5, 8), st.integers(5, 8))),
        "stride": draw(pairs),
        "padding": draw(st.tuples(st.integers(0, 2), st.integers(0, 2))),
        "dilation": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "groups": groups,
    }


@quick
@given(convolutions(), st.integers(1, 3))
def test_conv2d_macs_against_loops_and_against_the_profile(conv, batch):
    expected = slow_conv2d_macs(*conv.values())
    assert conv2d_macs(**conv) == expected
    sizes = {k: v for k, v in conv.items() if k not in ("input_hw", "kernel")}
    layer = nn.Conv2d(kernel_size=conv["kernel"], **sizes)
    (row,) = profile_layers(layer, (batch, conv["in_channels"], *conv["input_hw"]))
    assert row.macs == expected
    assert row.out_shape == layer(torch.zeros(batch, conv["in_channels"], *conv["input_hw"])).shape


def test_conv2d_macs_of_ints_are_those_of_pairs():
    assert conv2d_macs(4, 6, 3, 9, 2, 1, 2, 2) == conv2d_macs(
        4, 6, (3, 3), (9, 9), (2, 2), (1, 1), (2, 2), 2
    )


def test_large_counts_are_exact():
    # 2**24 + 1 is the first integer that float32 loses.
    assert conv2d_macs(1, 1, 1, (1, 2**24 + 1)) == 2**24 + 1
    assert linear_macs(2**31 + 1, 2**31 + 1) == (2**31 + 1) ** 2
    assert bit_operations(2**60 + 1, 3, 5) == 15 * (2**60 + 1)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("groups", {"groups": 3}),
        ("groups", {"groups": 4}),
        ("groups", {"groups": 0}),
        ("input_hw", {"input_hw": 2}),
        ("input_hw", {"input_hw": (8, 2)}),
        ("kernel", {"kernel": 0}),
        ("kernel", {"kernel": (3, 3, 3)}),
        ("kernel", {"kernel": 3.0}),
        ("stride", {"stride": 0}),
        ("padding", {"padding": -1}),
        ("padding", {"padding": "same"}),
        ("dilation", {"dilation": 0}),
        ("in_channels", {"in_channels": 0}),
        ("out_channels", {"out_channels": True}),
    ],
)
def test_conv2d_macs_refuses(name, change):
    good = {"in_channels": 4, "out_channels": 6, "kernel": 3, "input_hw": 8}
    with pytest.raises(ValueError, match=f"^{name}:"):
        conv2d_macs(**(good | change))


@quick
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_linear_macs_against_loops(inputs, outputs, tokens):
    count = sum(1 for _ in itertools.product(range(inputs), range(outputs), range(tokens)))
    assert linear_macs(inputs, outputs, tokens) == count
    assert total(nn.Linear(inputs, outputs), (2, tokens, inputs)) == count


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (1, 1, 0), (1.0, 1), (True, 1)])
def test_linear_macs_refuses(arguments):
    with pytest.raises(ValueError, match="expected an int"):
        linear_macs(*arguments)


def test_bit_operations():
    assert bit_operations(1000, 4, 8) == 32_000
    assert bit_operations(0, 1, 1) == 0
    with pytest.raises(ValueError, match="macs"):
        bit_operations(-1, 8, 8)


# ---- the table --------------------------------------------------------------------------------


def test_rows_of_a_reused_layer():
    assert profile_layers(probes.Reused(5, calls=2), (3, 5)) == 2 * [
        LayerCost("linear", "Linear", 30, 25, (3, 5)),
        LayerCost("relu", "ReLU", 0, 0, (3, 5)),
    ]


def test_an_aliased_layer_goes_by_its_first_name():
    assert [row.name for row in profile_layers(probes.Aliased(), (1, 5))] == ["first", "first"]


def test_a_layer_that_is_not_called_has_no_row():
    assert [row.name for row in profile_layers(probes.Unused(), (1, 5))] == ["linear"]


def test_a_model_without_children_is_a_layer():
    assert profile_layers(probes.FunctionalConv(4, 6, groups=2), (2, 4, 8, 8)) == [
        LayerCost("", "FunctionalConv", 6 * 2 * 9, 6 * 2 * 9 * 16, (2, 6, 4, 4))
    ]


def test_functional_products_between_layers_have_rows():
    rows = profile_layers(probes.FunctionalLinear(5, 3), (2, 5))
    assert rows[0] == LayerCost("linear", "Linear", 30, 25, (2, 5))
    assert (rows[1].params, rows[1].macs) == (15, 15)
    assert len(rows) == 2


@pytest.mark.parametrize(
    ("model", "shape", "macs"),
    [
        (probes.Residual(4), (2, 4, 8, 8), 2 * 4 * 4 * 9 * 64),
        (probes.DepthwiseSeparable(4, 6), (2, 4, 8, 8), 64 * (4 * 9 + 4 * 6)),
        (probes.Grouped(), (2, 4, 8, 8), 6 * 2 * 9 * 16),
        (probes.FunctionalConv(4, 6, groups=2), (2, 4, 8, 8), 6 * 2 * 9 * 16),
        (probes.MatrixProduct(5, 3), (2, 7, 5), 7 * 5 * 3 + 7 * 3 * 7),
        (probes.Einsum(5, 3), (2, 7, 5), 7 * 5 * 3),
        (probes.Attention(8, 2), (2, 7, 8), 7 * 8 * 24 + 2 * (7 * 7 * 8) + 7 * 8 * 8),
        (probes.WrittenOutAttention(), (2, 7, 5), 2 * 7 * 7 * 5),
        (probes.MaskedLinear(6, 4), (2, 6), 24),
        (probes.Buffered(5), (2, 5), 25 + 25),
        (probes.NoParameters(), (2, 3, 8, 8), 0),
        (probes.Auxiliary(5, 3), (2, 5), 25 + 15),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), (2, 4, 5, 5), 25 * 4 * 3 * 9),
        (nn.Conv1d(4, 6, 3), (2, 4, 9), 7 * 4 * 6 * 3),
        (nn.Conv3d(2, 3, 2), (2, 2, 4, 4, 4), 27 * 2 * 3 * 8),
        (nn.LSTM(4, 3, batch_first=True), (2, 5, 4), 5 * (4 * 12 + 3 * 12)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (2, 5, 8), 5 * 8 * 64 + 400),
    ],
    ids=lambda value: type(value).__name__,
)
def test_macs_of_every_kind_of_product(model, shape, macs):
    counted = profile(model, dummy_input(model, shape))
    assert counted.macs == macs
    assert counted.not_counted == {}


class Vectors(nn.Module):
    """Products that torch's own table does not know."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 3))

    def forward(self, x):
        y = self.weight @ x.sum((0, 1))  # (4, 3) by (3,): 12
        y = torch.addmv(y, self.weight, x[0, 0])  # 12
        z = torch.dot(y, y)  # 4
        batch = torch.addbmm(x.new_zeros(5, 4), x, self.weight.t().expand(2, 3, 4))  # 2 * 5 * 12
        return batch.addmm_(x[0], self.weight.t()) + z  # in place, 5 * 12


def test_products_with_vectors_and_in_place():
    counted = profile(Vectors(), torch.empty(2, 5, 3, device="meta"))
    assert counted.macs == (12 + 12 + 4 + 120 + 60) / 2
    assert counted.not_counted == {}


def test_macs_do_not_depend_on_the_batch():
    model = ResNet20()
    assert total(model, (1, 3, 32, 32)) == total(model, (5, 3, 32, 32)) == 40_813_184


def test_products_of_weights_alone_are_shared_by_the_batch_rounded_up():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Parameter(torch.ones(1, 3))
            self.b = nn.Parameter(torch.ones(3, 1))

        def forward(self, x):
            return x * (self.a @ self.b)

    assert [total(Folded(), (batch, 1)) for batch in (1, 2, 3, 4)] == [3, 2, 1, 1]


def test_a_product_in_a_hook_belongs_to_the_hooked_layer():
    layer = nn.Linear(4, 2)
    layer.register_forward_pre_hook(lambda _, args: (args[0] @ args[0].new_zeros(4, 4),))
    assert profile_layers(layer, (3, 4)) == [LayerCost("", "Linear", 10, 16 + 8, (3, 2))]


def test_macs_agree_with_torch_on_one_model_run_for_real():
    model, x = LeNet5().eval(), torch.zeros(2, 1, 28, 28)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert profile(model, x).macs == counter.get_total_flops() / 2 / 2


class Unknown(nn.Module):
    def __init__(self, operation):
        super().__init__()
        self.operation = operation
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        self.operation(x)
        return self.linear(x)


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (torch.fft.rfft, "_fft_r2c"),
        (lambda x: torch.cdist(x, x), "_cdist_forward"),
        (lambda x: F.bilinear(x, x, x.new_zeros(2, 4, 4)), "_trilinear"),
        (torch.linalg.qr, "linalg_qr"),
    ],
)
def test_what_is_not_understood_is_listed(operation, name):
    counted = profile(Unknown(operation), torch.empty(6, 4, device="meta"))
    assert counted.not_counted == {name: 1}
    assert counted.macs == 16


def test_an_operator_of_another_library_is_listed():
    @torch.library.custom_op("shared_tests::twice", mutates_args=())
    def twice(x: torch.Tensor) -> torch.Tensor:
        return 2 * x

    twice.register_fake(torch.empty_like)
    assert profile(Unknown(twice), torch.zeros(2, 4)).not_counted == {"twice": 1}


@pytest.mark.parametrize(
    "layer",
    [
        nn.ReLU6(),
        nn.GELU(),
        nn.SiLU(inplace=True),
        nn.Hardswish(),
        nn.PReLU(),
        nn.GLU(),
        nn.LogSigmoid(),
        nn.Softmax(1),
        nn.LogSoftmax(1),
        nn.LayerNorm(8),
        nn.RMSNorm(8),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4),
        nn.BatchNorm2d(4),
        nn.LocalResponseNorm(2),
        nn.Dropout2d(),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(3),
        nn.AdaptiveMaxPool2d(3),
        nn.LPPool2d(2, 2),
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.PixelShuffle(2),
        nn.PixelUnshuffle(2),
        nn.ZeroPad2d(1),
        nn.ReflectionPad2d(1),
        nn.ReplicationPad2d(1),
        nn.CircularPad2d(1),
        nn.Unfold(2),
        nn.ChannelShuffle(2),
        nn.Flatten(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_without_products_cost_nothing_and_are_understood(layer):
    counted = profile(layer, torch.empty(2, 4, 8, 8, device="meta"))
    assert (counted.macs, counted.not_counted) == (0, {})


# ---- how it is run ----------------------------------------------------------------------------


def assert_as_before(model, before):
    assert modes(model) == before
    assert torch.is_grad_enabled()
    assert torch.backends.mha.get_fastpath_enabled()
    assert _get_current_dispatch_mode() is None
    assert torch.empty(1).device == torch.device("cpu")


@pytest.mark.parametrize("measure", [profile_layers, peak_activation_bytes])
def test_modes_and_hooks_are_restored(measure):
    model, calls = probes.MixedModes(), []
    model.conv.register_forward_hook(lambda *_: calls.append(1))
    before, state = modes(model), {k: v.clone() for k, v in model.state_dict().items()}
    measure(model, (2, 4, 8, 8))
    assert_as_before(model, before)
    assert hooks(model) == 1
    assert calls
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("measure", [profile_layers, peak_activation_bytes])
def test_modes_and_hooks_are_restored_when_forward_raises(measure):
    model = probes.Raises(message="on purpose")
    before = modes(model)
    with pytest.raises(RuntimeError, match="on purpose"):
        measure(model, (2, 5))
    assert_as_before(model, before)
    assert hooks(model) == 0


def test_no_arithmetic_is_done():
    seen = []
    model = nn.Sequential(nn.Linear(4, 4), nn.Identity())
    model[1].register_forward_hook(lambda _, args, __: seen.append(args[0].device.type))
    profile_layers(model, (1, 4))
    assert seen == ["meta"]
    # 2**50 MACs would never end, and their weights would fill no memory
    assert total(nn.Linear(2**25, 2**25, bias=False, device="meta"), (1, 2**25)) == 2**50


def test_eval_mode_without_gradients():
    seen = []
    model = nn.Sequential(
        probes.Tap(lambda training, _: seen.append(training)),
        probes.GradTap(lambda recording, _: seen.append(recording)),
        probes.Auxiliary(),
    )
    rows = profile_layers(model, (1, 5))
    assert seen == [False, False]
    assert [row.name for row in rows] == ["0", "1", "2.body", "2.head"]


class Deciding(nn.Module):
    """Needs the numbers to know what to do: cannot be run on the meta device."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.frozen = nn.BatchNorm1d(4).eval()

    def forward(self, x):
        return self.frozen(self.linear(x)) if bool((x == 0).all()) else x


class Uncopyable(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.lock = threading.Lock()

    def forward(self, x):
        return self.linear(x)


@pytest.mark.parametrize("build", [Deciding, Uncopyable])
def test_what_cannot_run_without_numbers_runs_with_them(build):
    model = build()
    before = modes(model)
    assert total(model, (3, 4)) == 16
    assert peak_activation_bytes(model, (3, 4)) == 2 * 3 * 4 * 4
    assert_as_before(model, before)
    assert hooks(model) == 0


class Repeats(nn.Module):
    """The same operators twice: new tensors, views, in place, with lists, with other shapes."""

    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False)])
        self.batch_statistics = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x):
        for norm in (*self.norms, *self.norms, self.batch_statistics, self.batch_statistics):
            x = norm(x)
            x = F.hardswish(F.relu(x + 1), inplace=True).add_(x).mul_(2)
            left, right = x.chunk(2, dim=1)
            x = torch.cat([left, right.transpose(2, 3).contiguous()], dim=1)
            x = x.flatten(1).unsqueeze(0).squeeze_(0).view(x.shape)
            x = torch.ops.aten._unsafe_view(x, x.shape)
            x = x.to(memory_format=torch.channels_last) * torch.arange(x.shape[-1])
            torch._foreach_add_([x, x], 1.0)
            values, order = x.sort()
            x = values + order * 2 + order * 2.0
        return x.double().sum(-1), x[:, :1]


def first_made(call):
    """Shape and bytes of an operator's first result, and whether an argument shares its storage."""
    read = {memory.storage for memory in call.reads}
    return [(made.shape, made.bytes, made.storage in read) for made in call.makes[:1]]


@pytest.mark.parametrize(
    ("build", "shape"),
    [(Repeats, (2, 4, 6, 6)), (ResNet20, (2, 3, 32, 32)), (probes.Auxiliary, (2, 5))],
)
def test_a_remembered_result_is_that_of_running_the_operator(monkeypatch, build, shape):
    model = build()
    remembered = profile_layers(model, shape), peak_activation_bytes(model, shape)
    calls = tracing.record(model, [dummy_input(model, shape)]).calls
    monkeypatch.setattr(tracing, "_signature", lambda *_: None)
    assert remembered == (profile_layers(model, shape), peak_activation_bytes(model, shape))
    # batch norm has another name, and two results that are empty, when it is run
    run = tracing.record(model, [dummy_input(model, shape)]).calls
    for call, other in zip(calls, run, strict=True):
        assert first_made(call) == first_made(other)


def test_batch_norm_of_another_width_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(5))
    with pytest.raises(RuntimeError):
        profile_layers(model, (1, 3, 2, 2))


def test_a_real_run_does_not_keep_activations_alive():
    alive = []

    class Chain(nn.Module):
        def forward(self, x):
            bool(x.sum() == 0)  # forces the real run
            for _ in range(20):
                x = x + 1
            if not x.is_meta:
                gc.collect()
                tensors = [o for o in gc.get_objects() if type(o) is torch.Tensor]
                alive.append(sum(t.shape == (1, 12_345) and not t.is_meta for t in tensors))
            return x

    assert peak_activation_bytes(Chain(), (1, 12_345)) == 2 * 4 * 12_345
    assert alive
    assert alive[0] <= 3


def test_pruning_and_weight_norm_hooks_keep_their_tensors():
    model = nn.Sequential(nn.Linear(4, 4), parametrizations.weight_norm(nn.Linear(4, 2)))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    weight = model[0].weight
    assert total(model, (1, 4)) == 16 + 8
    assert model[0].weight is weight
    assert sparsity(weight) == 0.5
    assert model(torch.zeros(1, 4)).device.type == "cpu"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_input_takes_the_dtype_of_the_model(dtype):
    model = nn.Linear(4, 2).to(dtype)
    assert dummy_input(model, (3, 4)).dtype == dtype
    assert peak_activation_bytes(model, (3, 4)) == dtype.itemsize * 3 * (4 + 2)


def test_integer_inputs_and_several_inputs():
    tokens = torch.zeros(2, 7, dtype=torch.int64, device="meta")
    assert profile(probes.TiedEmbedding(11, 4), tokens).macs == 7 * 4 * 11

    class Product(nn.Module):
        def forward(self, a, b):
            return a @ b

    a, b = torch.empty(2, 3, 4, device="meta"), torch.empty(2, 4, 5, device="meta")
    assert profile(Product(), a, b).macs == 60


@pytest.mark.parametrize("shape", [(), (0, 4), (2, -1), (2, 4.0), (2, True)])
def test_a_bad_input_shape_is_refused(shape):
    for measure in (profile_layers, peak_activation_bytes):
        with pytest.raises(ValueError, match="input_shape"):
            measure(nn.Linear(4, 4), shape)


@pytest.mark.parametrize("inputs", [(), (torch.zeros(()),), (torch.zeros(0, 4),)])
def test_profile_refuses_inputs_without_a_batch(inputs):
    with pytest.raises(ValueError, match="inputs"):
        profile(nn.Linear(4, 4), *inputs)


# ---- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
def test_peak_of_structures_counted_by_hand(batch):
    plane = 4 * batch * 64  # bytes of one 8x8 channel of float32
    shape = (batch, 4, 8, 8)
    # input, both operands of the sum, or sum and its operands: three tensors of 4 channels
    assert peak_activation_bytes(probes.Residual(4), shape) == 3 * 4 * plane
    # the skip (8), the last inner output (8) and their concatenation (16)
    skip = probes.LongSkip(4, wide=8, depth=2)
    assert peak_activation_bytes(skip, shape) == (8 + 8 + 16) * plane
    # branches of 3, 3 and 4 channels and their concatenation; the input is gone by then
    assert peak_activation_bytes(probes.MultiBranch(4, 3), shape) == 20 * plane
    # a ReLU in place adds nothing
    assert peak_activation_bytes(probes.InPlace(4, wide=8), shape) == (4 + 8) * plane
    # input and output of the convolution; views of it, then a half
    assert peak_activation_bytes(probes.Views(4), shape) == (4 + 8) * plane
    # 8x8 in, 4x4 out
    assert peak_activation_bytes(probes.NoParameters(), shape) == 4 * plane * 5 // 4


def test_parameters_buffers_and_indices_of_max_pooling_do_not_count():
    assert peak_activation_bytes(probes.Buffered(5), (1, 5)) == 4 * 10
    assert peak_activation_bytes(nn.MaxPool2d(2), (1, 1, 4, 4)) == 4 * (16 + 4)
    indices = nn.MaxPool2d(2, return_indices=True)
    assert peak_activation_bytes(indices, (1, 1, 4, 4)) == 4 * (16 + 4) + 8 * 4


def test_a_second_output_counts_if_it_is_read_later():
    class Unpool(nn.Module):
        def forward(self, x):
            pooled, indices = F.max_pool2d(x, 2, return_indices=True)
            return F.max_unpool2d(pooled, indices, 2)

    assert peak_activation_bytes(Unpool(), (1, 1, 4, 4)) == 4 * (4 + 16) + 8 * 4


def test_what_is_returned_is_needed_to_the_end():
    class Early(nn.Module):
        def forward(self, x):
            return torch.tanh(x), torch.cat([x, x, x])

    assert peak_activation_bytes(Early(), (1, 10)) == 4 * 10 * (1 + 1 + 3)


def test_a_model_without_operators_holds_its_input():
    assert peak_activation_bytes(nn.Identity(), (2, 3)) == 24
    assert peak_activation_bytes(nn.Flatten(), (2, 3, 4)) == 96


class Program(nn.Module):
    """A straight line of operators on vectors; each step names the tensors that it reads."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def forward(self, x):
        values = [x]
        for operation, left, right in self.steps:
            a, b = values[left % len(values)], values[right % len(values)]
            if operation == "cat":
                values.append(torch.cat([a, b], dim=1))
            elif operation == "tanh":
                values.append(torch.tanh(a))
            elif operation == "outer sum":
                values.append(a.unsqueeze(2) + b.unsqueeze(1))
                values[-1] = values[-1].flatten(1)
            else:
                values.append(a.view(a.shape))
        return values[-1]


def slow_peak(steps, width):
    """Liveness from the definition: a value is alive at a step that makes, reads or precedes it."""
    size, made, storage = [width], [-1], [0]  # per value; a view has the storage of its source
    reads = []
    for operation, left, right in steps:
        n = len(size)
        a, b = left % n, right % n
        position = len(reads)
        if operation == "view":
            reads.append({storage[a]})
            size.append(size[a])
            made.append(position)
            storage.append(storage[a])
            continue
        reads.append({storage[a]} | ({storage[b]} if operation != "tanh" else set()))
        sizes = {"cat": size[a] + size[b], "tanh": size[a], "outer sum": size[a] * size[b]}
        size.append(sizes[operation])
        made.append(position)
        storage.append(n)
    result = storage[-1]
    peak = 0
    for position in range(len(steps)):
        alive = 0
        for value in set(storage):
            needed_later = value == result or any(value in r for r in reads[position:])
            exists = made[value] <= position
            alive += size[value] if exists and (needed_later or made[value] == position) else 0
        peak = max(peak, alive)
    return 4 * peak


@quick
@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.sampled_from(["cat", "tanh", "outer sum", "view"]),
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_peak_against_the_definition(width, steps):
    assert peak_activation_bytes(Program(steps), (1, width)) == slow_peak(steps, width)


# ---- torchvision's own table ------------------------------------------------------------------


def published():
    """(builder's name, weights) of every classification entry of torchvision."""
    from torchvision import models

    names = models.list_models(module=models)
    return [(name, weights) for name in names for weights in models.get_model_weights(name)]


@contextlib.contextmanager
def not_initialised():
    with contextlib.ExitStack() as patches:
        for name in vars(torch.nn.init):
            if name.endswith("_") and not name.startswith("_"):
                patches.enter_context(mock.patch.object(torch.nn.init, name))
        yield


def assert_as_published(name, weights):
    from torchvision import models

    size = weights.transforms().crop_size[0]
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    if name == "googlenet":
        options["aux_logits"] = False  # its table leaves the training-time heads out
    if name.startswith("vit_"):
        options["image_size"] = size
    # RegNets compute their widths with tensors, which meta tensors cannot: only what would fill
    # the weights is left out.
    with torch.device("cpu" if name.startswith("regnet") else "meta"), not_initialised():
        model = models.get_model(name, weights=None, **options)
    counted = profile(model, torch.empty(1, 3, size, size, device="meta"))
    assert counted.params == weights.meta["num_params"]
    assert counted.macs / 1e9 == pytest.approx(weights.meta["_ops"], abs=0.00051)
    assert counted.not_counted == {}


FAST = ("resnet18", "vit_b_16", "swin_v2_t", "shufflenet_v2_x0_5", "densenet121", "maxvit_t")


@pytest.mark.parametrize("name", FAST)
def test_a_few_models_agree_with_torchvision(name):
    from torchvision import models

    assert_as_published(name, next(iter(models.get_model_weights(name))))


@pytest.mark.slow
def test_all_models_agree_with_torchvision():
    entries = published()
    assert len(entries) > 100
    for name, weights in entries:
        assert_as_published(name, weights)
