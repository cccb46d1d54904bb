"""The starter of the final project: what was trained is what the file holds and what is scored."""

from __future__ import annotations

import warnings
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autograder.project import costs, counting, graph, inference, scorer
from autograder.project.card import Card
from autograder.project.tidy import tidy
from autograder.records.measurement import MeasuredLayer, Measurement
from shared.data import DataMissing, load_cifar10
from shared.profiling import profile_layers
from tests import bank
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s7_final_project"
SHAPE = (1, 8, 8)
PEAK = 16


def pixels(n: int = 12) -> Tensor:
    return torch.randint(0, PEAK + 1, (n, *SHAPE), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


def centred(images: Tensor) -> Tensor:
    return (images.float() - 8) / 4


def network(kit: SimpleNamespace, bits: int = 4, weight_bits: int | None = None) -> nn.Module:
    """A small network with drawn weights and statistics, quantised unless `bits` is 0."""
    torch.manual_seed(0)
    model: nn.Module = kit.network.SmallResNet((1, 1), (8, 16), channels=1)
    for layer in kit.recipes.convolutions(model):
        nn.init.normal_(layer.norm.weight)  # some are negative
        nn.init.normal_(layer.norm.bias)
    if bits:
        kit.recipes.start_quantising(model, (bits, bits), 8, weight_bits and (weight_bits,) * 2)
    model.train()
    for _ in range(3):
        model(centred(pixels(32)))
    return model.eval()


def exported(
    kit: SimpleNamespace, model: nn.Module, path: Path
) -> tuple[Tensor, list[MeasuredLayer]]:
    """Logits of the file and what the scorer counts in it."""
    kit.export.export_submission(model, path, SHAPE, PEAK)
    content = path.read_bytes()
    logits = inference.logits(inference.session(content), pixels().numpy(), 5)
    layers = counting.count(graph.read(content, SHAPE, 10))
    return torch.from_numpy(logits), list(layers)


@pytest.mark.parametrize(
    ("bits", "weight_bits"), [(0, None), (8, None), (4, None), (4, 2), (4, 1), (3, 3), (2, 2)]
)
def test_the_file_computes_what_the_network_does(
    kit: SimpleNamespace, tmp_path: Path, bits: int, weight_bits: int | None
) -> None:
    model = network(kit, bits, weight_bits)
    logits, _ = exported(kit, model, tmp_path / "model.onnx")
    with torch.no_grad():
        wanted = model(centred(pixels()))
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bits", "weight_bits"), [(4, 4), (4, 2), (4, 1), (2, 2), (8, 8)])
def test_the_scorer_sees_the_trained_widths(
    kit: SimpleNamespace, tmp_path: Path, bits: int, weight_bits: int
) -> None:
    _, layers = exported(kit, network(kit, bits, weight_bits), tmp_path / "model.onnx")
    products = [layer.products[0] for layer in layers if layer.products]
    inner = products[1:-1]
    assert {(p.weight_bits, p.activation_bits) for p in inner} == {(weight_bits, bits)}
    ends = {(p.weight_bits, p.activation_bits) for p in (products[0], products[-1])}
    assert ends == {(8, 8)}


def test_each_stage_has_its_own_width(kit: SimpleNamespace, tmp_path: Path) -> None:
    model = network(kit, 0)
    kit.recipes.start_quantising(model, (4, 2), 8)
    model(centred(pixels()))
    _, layers = exported(kit, model, tmp_path / "model.onnx")
    widths = [layer.products[0] for layer in layers if layer.products]
    seen = [(each.weight_bits, each.activation_bits) for each in widths]
    assert seen == [(8, 8), (4, 4), (4, 4), (2, 2), (2, 2), (2, 2), (8, 8)]
    with pytest.raises(ValueError, match="zip"):
        kit.recipes.start_quantising(model, (4,), 8)


def test_an_identity_shortcut_is_not_rounded(kit: SimpleNamespace) -> None:
    block = kit.network.Block(4, 4, 1).eval()
    nn.init.zeros_(block.second.norm.weight)
    block.input.start(2)
    x = torch.rand(2, 4, 5, 5)
    torch.testing.assert_close(block(x), x)


def test_pruned_weights_are_zero_in_the_file(kit: SimpleNamespace, tmp_path: Path) -> None:
    model = network(kit)
    kit.recipes.prune_globally(model, 0.75)
    masks = [layer.mask for layer in kit.recipes.convolutions(model)]
    kept = sum(int(mask.sum()) for mask in masks)
    assert kept == sum(mask.numel() for mask in masks) - round(
        0.75 * sum(mask.numel() for mask in masks)
    )
    _, layers = exported(kit, model, tmp_path / "model.onnx")
    weights = [layer.stored[0] for layer in layers if layer.kind == "Conv"]
    assert sum(each.elements for each in weights) == sum(mask.numel() for mask in masks)
    assert sum(each.nonzeros for each in weights) <= kept


def test_the_exporter_gives_modes_back_and_names_what_it_cannot_write(
    kit: SimpleNamespace, tmp_path: Path
) -> None:
    model = network(kit).train()
    model.get_submodule("stages.0").eval()
    before = {name: each.training for name, each in model.named_modules()}
    kit.export.export_submission(model, tmp_path / "model.onnx", SHAPE, PEAK)
    assert {name: each.training for name, each in model.named_modules()} == before
    odd = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Softshrink())
    with pytest.raises(ValueError, match="Softshrink"):
        kit.export.export_submission(odd, tmp_path / "odd.onnx", SHAPE, PEAK)
    assert not (tmp_path / "odd.onnx").exists()


@pytest.mark.slow
def test_any_network_goes_through_pytorch_s_exporter(kit: SimpleNamespace, tmp_path: Path) -> None:
    """One with an operator that only `autograder tidy` writes in the graph language."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.RMSNorm(10), nn.Softsign()).train()
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own deprecations
        kit.export.export_stock(model, path, SHAPE, PEAK)
    assert all(each.training for each in model.modules())
    content = tidy(path.read_bytes()).content
    graph.read(content, SHAPE, 10)
    logits = inference.logits(inference.session(content), pixels().numpy(), 5)
    with torch.no_grad():
        expected = model(centred(pixels()))
    torch.testing.assert_close(torch.from_numpy(logits), expected, rtol=1e-4, atol=1e-4)


def test_stock_layers_are_exported(kit: SimpleNamespace, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, groups=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, 2, 1, groups=4, bias=False),
        nn.Hardswish(),
        nn.AvgPool2d(2),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4, 10),
    ).eval()
    logits, _ = exported(kit, model, tmp_path / "model.onnx")
    with torch.no_grad():
        torch.testing.assert_close(logits, model(centred(pixels())), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_learned_steps_have_the_gradients_of_the_paper(
    kit: SimpleNamespace, signed: bool, bits: int
) -> None:
    """Esser et al. 2020, equations 3 and 5, one element after the other."""
    quantiser = kit.quantised.Quantiser(signed)
    quantiser.start(bits)
    quantiser.fresh.fill_(0)
    step = 0.37
    quantiser.step.data.fill_(step)
    low, high = quantiser.bounds()
    x = torch.linspace(-3, 5, 41, requires_grad=True)
    out = quantiser(x)
    out.sum().backward()
    to_step, values = 0.0, []
    for value in x.tolist():
        ratio = value / step
        code = min(max(round(ratio), low), high)
        values.append(code * step)
        to_step += code - ratio if low <= ratio <= high else code
    torch.testing.assert_close(out.detach(), torch.tensor(values), rtol=0, atol=1e-5)
    scale = 1 / np.sqrt(41 * high)
    assert float(quantiser.step.grad) == pytest.approx(to_step * scale, rel=1e-3)
    inside = (x / step >= low) & (x / step <= high)
    torch.testing.assert_close(x.grad, inside.float())


def slow_quantiser(x: Tensor, step: Tensor, low: int, high: int, scale: float) -> Tensor:
    """The same by torch's own derivatives: (detached) differences carry the gradients of LSQ."""
    step = step * scale + (step * (1 - scale)).detach()
    ratio = (x / step).clamp(low, high)
    return ((ratio.round() - ratio).detach() + ratio) * step


@pytest.mark.parametrize("channels", [None, 6])
@pytest.mark.parametrize(("signed", "bits"), [(True, 2), (True, 4), (False, 4), (False, 8)])
def test_the_fused_quantiser_is_the_slow_one(
    kit: SimpleNamespace, channels: int | None, signed: bool, bits: int
) -> None:
    torch.manual_seed(0)
    quantiser = kit.quantised.Quantiser(signed, channels)
    quantiser.start(bits)
    x = torch.randn(6, 5, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    quantiser(x)
    out, gradient = quantiser(x), torch.randn(6, 5, 3, 3)
    out.backward(gradient)
    copy = x.detach().clone().requires_grad_()
    step = quantiser.step.detach().clone().requires_grad_()
    low, high = quantiser.bounds()
    scale = (x.numel() / step.numel() * high) ** -0.5
    expected = slow_quantiser(copy, step + 1e-8, low, high, scale)
    expected.backward(gradient)
    assert step.grad is not None
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(x.grad, copy.grad)
    torch.testing.assert_close(quantiser.step.grad, step.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_in_mixed_precision_activations_keep_their_type(kit: SimpleNamespace, bits: int) -> None:
    """And are a code times the step, to the precision of that type; sums are in float32."""
    torch.manual_seed(0)
    quantiser = kit.quantised.Quantiser(signed=False)
    quantiser.start(bits)
    x = torch.rand(8, 16, 32, 32).bfloat16().requires_grad_()
    out = quantiser(x)
    gradient = torch.rand(out.shape).bfloat16()
    out.backward(gradient)
    assert (out.dtype, quantiser.step.grad.dtype) == (torch.bfloat16, torch.float32)
    step = quantiser.positive_step().item()
    codes = (out.detach().float() / step).round()
    _, high = quantiser.bounds()
    assert 0 <= codes.min() <= codes.max() <= high
    torch.testing.assert_close(out.detach().float(), codes * step, rtol=2**-8, atol=0)
    assert float((codes - x.detach().float() / step).clamp(max=1).abs().max()) <= 0.5 + high / 2**8
    full = kit.quantised.Quantiser(signed=False)
    full.load_state_dict(quantiser.state_dict())
    full(x.detach().float()).backward(gradient.float())
    unit = 1 / np.sqrt(high * x.numel())  # what an element counts whose code is one off
    error = abs(float(quantiser.step.grad - full.step.grad))
    assert error < unit * x.numel() * high / 2**10


@pytest.mark.parametrize("shape", [(8, 4, 6, 6), (5, 12, 7, 3), (2, 1, 1, 1), (16, 10, 12, 12)])
def test_the_narrow_batch_norm_is_torchs(kit: SimpleNamespace, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    narrow, torchs = kit.norms.NarrowBatchNorm(shape[1]), nn.BatchNorm2d(shape[1]).double()
    for norm in (narrow, torchs):
        nn.init.constant_(norm.weight, 1.7)
        nn.init.constant_(norm.bias, -0.3)
    for _ in range(3):
        x = (torch.randn(shape) * 3 + 2).to(memory_format=torch.channels_last).requires_grad_()
        double = x.detach().double().requires_grad_()
        gradient = torch.randn(shape)
        narrow.zero_grad()
        torchs.zero_grad()
        out, expected = narrow(x), torchs(double)
        out.backward(gradient)
        expected.backward(gradient.double())
        pairs = [(out, expected), (x.grad, double.grad)]
        pairs += [(a.grad, b.grad) for a, b in zip(narrow.parameters(), torchs.parameters())]
        for found, right in pairs:
            torch.testing.assert_close(found.double(), right, rtol=1e-4, atol=1e-4)
    for name, value in torchs.state_dict().items():
        torch.testing.assert_close(narrow.state_dict()[name].to(value.dtype), value)
    torch.testing.assert_close(
        narrow.eval()(x).double(), torchs.eval()(double), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_narrow_batch_norm_keeps_the_type(kit: SimpleNamespace, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4, 8, 8).to(memory_format=torch.channels_last)
    outs = []
    for norm in (kit.norms.NarrowBatchNorm(4), nn.BatchNorm2d(4)):
        norm = norm.to(torch.float32 if dtype == torch.bfloat16 else dtype)
        copy = x.to(dtype).requires_grad_()
        outs.append(norm(copy))
        outs[-1].square().sum().backward()
        assert copy.grad is not None
        assert outs[-1].dtype == copy.grad.dtype == dtype
        assert norm.weight.grad.dtype == norm.running_var.dtype == norm.weight.dtype
    torch.testing.assert_close(*outs)


def test_a_step_is_set_from_the_first_tensor(kit: SimpleNamespace) -> None:
    quantiser = kit.quantised.Quantiser(signed=True, channels=2)
    x = torch.randn(2, 3, 3, 3)
    torch.testing.assert_close(quantiser(x), x)  # floating point until it starts
    quantiser.start(4)
    quantiser(x)
    wanted = 2 * x.abs().mean(dim=(1, 2, 3)) / 7**0.5
    torch.testing.assert_close(quantiser.step.flatten(), wanted)


def test_activations_cannot_have_one_bit(kit: SimpleNamespace) -> None:
    with pytest.raises(ValueError, match="got 1"):
        kit.quantised.Quantiser(signed=False).start(1)


def test_pruning_in_rounds_ends_at_the_sparsity_and_goes_on_after_a_checkpoint(
    kit: SimpleNamespace,
) -> None:
    def shares(model: nn.Module) -> float:
        masks = [layer.mask.float().flatten() for layer in kit.recipes.convolutions(model)]
        return 1 - float(torch.cat(masks).mean())

    model = network(kit)
    prune = kit.recipes.PruneInRounds(model, 0.6, steps=40, every=5)
    for _ in range(10):
        prune()
    half_way = shares(model)
    assert half_way == pytest.approx(0.6 * (1 - 0.5**3), abs=0.01)
    state = model.state_dict()
    again = network(kit)
    prune = kit.recipes.PruneInRounds(again, 0.6, steps=40, every=5)
    again.load_state_dict(state)
    for _ in range(30):
        prune()
    assert shares(again) == pytest.approx(0.6, abs=0.01)


# ---- channels ------------------------------------------------------------------------------------


def labelled(n: int = 12) -> tuple[Tensor, Tensor]:
    return centred(pixels(n)), torch.arange(n) % 10


def test_importance_is_the_derivative_of_the_loss_in_a_gate(kit: SimpleNamespace) -> None:
    """Of a factor on a channel, sample by sample, by central differences."""
    model = network(kit, bits=0).double()
    inputs, targets = labelled(6)
    inputs = inputs.double()
    found = kit.channels.channel_importance(
        model, [(inputs[:4], targets[:4]), (inputs[4:], targets[4:])]
    )
    blocks = kit.channels.blocks_of(model)
    assert [len(each) for each in found] == [8, 16]

    def losses(block: nn.Module, channel: int, factor: float) -> Tensor:
        gate = torch.ones(block.second.conv.in_channels, 1, 1).double()
        gate[channel] = factor
        hook = block.middle.register_forward_hook(lambda _m, _i, z: z * gate)
        with torch.no_grad():
            out = torch.nn.functional.cross_entropy(model(inputs), targets, reduction="none")
        hook.remove()
        return out

    for block, importance in zip(blocks, found, strict=True):
        for channel in (0, 3, 7):
            slope = (losses(block, channel, 1 + 1e-5) - losses(block, channel, 1 - 1e-5)) / 2e-5
            torch.testing.assert_close(
                importance[channel], slope.square().mean(), rtol=1e-4, atol=1e-9
            )


@pytest.mark.parametrize("training", [True, False])
def test_importance_leaves_the_network_as_it_was(kit: SimpleNamespace, training: bool) -> None:
    model = network(kit, bits=0).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kit.channels.channel_importance(model, [labelled()])
    assert model.training == training
    assert all(each.grad is None for each in model.parameters())
    assert not any(each._forward_hooks for each in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_channels_that_matter_least_for_what_they_cost_go_first(kit: SimpleNamespace) -> None:
    choose = kit.channels.choose_channels
    scores = [torch.tensor([4.0, 1.0, 3.0, 2.0]), torch.tensor([40.0, 10.0, 20.0, 30.0])]

    def kept(saving: float, costs: tuple[float, float], multiple: int = 1) -> list[list[int]]:
        return [each.tolist() for each in choose(scores, costs, saving, multiple)]

    assert kept(0, (1, 1)) == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert kept(2, (1, 1)) == [[0, 2], [0, 1, 2, 3]]
    assert kept(2, (1, 100)) == [[0, 1, 2, 3], [0, 2, 3]]  # a tenth of a score per MAC
    assert kept(4, (1, 1)) == [[0], [0, 2, 3]]  # the last channel of a block stays
    assert kept(2, (1, 1), multiple=2) == [[0, 2], [0, 1, 2, 3]]
    with pytest.raises(ValueError, match="at most 6 can be saved, not 7"):
        choose(scores, (1, 1), 7, 1)


def test_a_channel_that_is_gone_was_multiplied_by_zero(
    kit: SimpleNamespace, tmp_path: Path
) -> None:
    """Removing channels is zeroing what they give, and the file is that much smaller."""
    model = network(kit, bits=0)
    kept = [torch.tensor([0, 2, 3, 7]), torch.tensor([1, 2, 5, 8, 9, 15])]
    slim = kit.channels.without_channels(model, kept)
    wanted = network(kit, bits=0)
    for block, channels in zip(kit.channels.blocks_of(wanted), kept, strict=True):
        gone = torch.ones(block.second.conv.in_channels, dtype=torch.bool)
        gone[channels] = False
        with torch.no_grad():
            block.second.conv.weight[:, gone] = 0
    inputs, _ = labelled()
    torch.testing.assert_close(slim(inputs), wanted(inputs), rtol=1e-5, atol=1e-5)
    kit.recipes.start_quantising(slim, (4, 4), 8)
    slim.train()(inputs)
    logits, layers = exported(kit, slim.eval(), tmp_path / "model.onnx")
    torch.testing.assert_close(logits, slim(inputs).detach(), rtol=1e-4, atol=1e-4)
    shapes = [layer.stored[0].elements for layer in layers if layer.kind == "Conv"]
    assert shapes == [8 * 9, 4 * 8 * 9, 8 * 4 * 9, 6 * 8 * 9, 16 * 6 * 9, 16 * 8]


def test_as_many_channels_go_as_the_budget_asks_for(kit: SimpleNamespace) -> None:
    model = network(kit, bits=0)
    full = sum(row.macs for row in profile_layers(model, (1, *SHAPE)))
    slim = kit.channels.slimmed(model, [labelled()], SHAPE, full - 20_000)
    left = sum(row.macs for row in profile_layers(slim, (1, *SHAPE)))
    assert full - 20_000 - 8 * 24 * 9 * 16 < left <= full - 20_000
    assert [each.second.conv.in_channels for each in kit.channels.blocks_of(slim)] == [8, 8]
    with pytest.raises(ValueError, match="can be saved"):
        kit.channels.slimmed(model, [labelled()], SHAPE, 1000)


def test_grouped_convolutions_keep_their_channels(kit: SimpleNamespace) -> None:
    model = kit.network.SmallResNet((1, 1), (8, 16), channels=1, groups=2)
    kept = [torch.arange(4), torch.arange(8)]
    with pytest.raises(ValueError, match="without groups"):
        kit.channels.without_channels(model, kept)


def test_distillation_is_the_loss_of_the_paper(kit: SimpleNamespace) -> None:
    student = nn.Linear(3, 4)
    inputs, logits = torch.randn(5, 3), torch.randn(5, 4)
    loss = kit.recipes.distillation(temperature=3.0)(student, inputs, logits)
    total = 0.0
    for ours, theirs in zip(student(inputs).detach(), logits, strict=True):
        p, q = torch.softmax(theirs / 3, 0), torch.softmax(ours / 3, 0)
        total += float(9 * (p * (p / q).log()).sum())
    assert loss.item() == pytest.approx(total / 5, rel=1e-5)
    teacher = nn.Linear(3, 4)
    taught = kit.recipes.distillation(3.0, teacher)(student, inputs, torch.arange(5))
    expected = kit.recipes.distillation(3.0)(student, inputs, teacher(inputs).detach())
    assert taught.item() == expected.item()
    taught.backward()
    assert teacher.weight.grad is None


def test_the_sample_is_what_the_exporter_writes(kit: SimpleNamespace) -> None:
    del kit
    content = (ROOT / "tests/submissions/s7_final_project/samples/ada/model.onnx").read_bytes()
    layers = counting.count(graph.read(content, SHAPE, 10))
    assert sum(layer.macs for layer in layers) == 135_840
    assert sum(layer.params for layer in layers) == 5_140


REFERENCE = FOLDER / "reference" / "model.onnx"
SLIM = FOLDER / "reference" / "slim.onnx"


def test_another_student_has_the_same_teacher_and_as_long_a_training_as_is_asked(
    kit: SimpleNamespace,
) -> None:
    plans = kit.plans
    for dataset, students in plans.OTHER_STUDENTS.items():
        own = plans.chosen(dataset)
        assert own == plans.PLANS[dataset]
        for student in students:
            other = plans.chosen(dataset, student, length=0.5, batch_size=2 * own.batch_size)
            assert (other.teacher, other.changes) == (own.teacher, own.changes)
            assert (other.lr, other.quantised_lr) == (2 * own.lr, 2 * own.quantised_lr)
            halves, wholes = ([*chain(*plan.quantised_cycles)] for plan in (other, own))
            assert [size for _, size in halves] == [size for _, size in wholes]
            for (half, _), (whole, _) in zip(halves, wholes, strict=True):
                assert abs(half - whole / 2) <= 0.5
            plans.build(other)
    shortest = plans.chosen("cifar10", length=0)
    assert {count for cycle in shortest.float_cycles for count, _ in cycle} == {1}


def test_the_reference_networks_are_as_small_as_they_are_said_to_be() -> None:
    project = bank.course().final_project
    assert project is not None
    rules = project.datasets["cifar10"]
    for path, cost in ((REFERENCE, 0.015), (SLIM, 0.01)):
        content = path.read_bytes()
        assert len(content) < 2_000_000
        layers = tuple(counting.count(graph.read(content, rules.input_shape, 10)))
        measured = Measurement(len(content), "", 0, layers)
        assert measured.excess_macs == 0
        assert measured.params <= 0.03 * 11_173_962
        assert measured.macs <= 0.12 * 555_422_720
        assert costs.entry_costs(measured, rules, project)["imt-2025"] <= cost


@pytest.mark.slow
def test_the_reference_networks_have_enough_right_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    try:
        load_cifar10()
    except DataMissing:
        pytest.skip("CIFAR-10 is not there: set COURSE_DATA")
    project = bank.course().final_project
    assert project is not None
    monkeypatch.setattr(scorer, "BATCHES", (250,))  # single images take a minute
    for path, least in ((REFERENCE, 9012), (SLIM, 9000)):
        found, *_ = scorer.score(path.read_bytes(), Card(team="reference"), "cifar10", project)
        assert found.refusal == ""
        assert found.counted >= least
