import copy

import pytest
import torch
from torch import nn

from shared import models, probes
from shared.registry import REGISTRY, register

IMAGE = (2, 4, 8, 8)
VECTOR = (2, 5)
SEQUENCE = (2, 7, 5)
PROBE_INPUTS = {
    "Tap": VECTOR,
    "GradTap": VECTOR,
    "Residual": IMAGE,
    "LongSkip": (2, 3, 8, 8),
    "MultiBranch": IMAGE,
    "Reused": VECTOR,
    "Aliased": VECTOR,
    "Tied": VECTOR,
    "TiedEmbedding": "tokens",
    "EmbeddingClassifier": "tokens",
    "Unused": VECTOR,
    "Buffered": VECTOR,
    "MaskedLinear": (2, 6),
    "NoParameters": IMAGE,
    "Grouped": IMAGE,
    "DepthwiseSeparable": IMAGE,
    "FunctionalConv": IMAGE,
    "FunctionalLinear": VECTOR,
    "MatrixProduct": SEQUENCE,
    "Einsum": SEQUENCE,
    "Attention": (2, 7, 8),
    "WrittenOutAttention": SEQUENCE,
    "InPlace": (2, 3, 8, 8),
    "Views": IMAGE,
    "MixedModes": IMAGE,
    "Auxiliary": VECTOR,
    "OutputFirst": (2, 2, 8, 8),
    "Hooked": VECTOR,
    "Raises": VECTOR,
}


def build(name):
    return REGISTRY[name](ignore) if name in ("Tap", "GradTap") else REGISTRY[name]()


def ignore(_flag, _x):
    return None


def probe_input(name):
    shape = PROBE_INPUTS[name]
    return torch.arange(6).reshape(2, 3) if shape == "tokens" else torch.randn(shape)


def test_every_probe_is_covered_here():
    known = {n for n, c in REGISTRY.items() if c.__module__ == probes.__name__}
    assert known == {*PROBE_INPUTS, "InEvalMode"}


def test_an_evaluation_that_leaves_its_mode_behind():
    model = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Dropout())
    total = sum(parameter.sum().item() for parameter in model.parameters())
    assert probes.InEvalMode()(model) == total
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("name", sorted(set(PROBE_INPUTS) - {"Raises"}))
def test_a_probe_is_rebuilt_from_its_config_and_state(name):
    original = build(name).eval()
    rebuilt = REGISTRY[name](**original.config)
    rebuilt.load_state_dict(original.state_dict())
    x = probe_input(name)
    assert torch.equal(rebuilt.eval()(x), original(x))


def test_config_holds_all_arguments_with_defaults():
    assert models.DigitsCNN(8, classes=3).config == {"width": 8, "channels": 1, "classes": 3}
    assert models.ResNet18().config == {"classes": 10}
    assert probes.WrittenOutAttention().config == {}


def test_config_is_that_of_the_class_that_was_called_not_of_its_base():
    assert set(models.ResNet20().config) == {"classes"}
    assert set(models.ResNet((1,), (4,)).config) == {"blocks", "widths", "channels", "classes"}


def test_an_unregistered_subclass_has_no_config():
    class Mine(models.DigitsCNN):
        def __init__(self, extra):
            super().__init__()
            self.extra = extra

    assert not hasattr(Mine(1), "config")


def test_config_survives_a_deep_copy():
    assert copy.deepcopy(models.MLP((4, 3))).config == {"sizes": (4, 3)}


def test_a_wrong_argument_is_still_a_type_error():
    with pytest.raises(TypeError, match="colour"):
        models.DigitsCNN(colour=3)


def test_a_name_can_be_registered_by_one_module_only():
    imposter = type("DigitsCNN", (nn.Module,), {"__module__": "elsewhere"})
    with pytest.raises(ValueError, match=r"DigitsCNN is already registered by shared\.models"):
        register(imposter)
    assert REGISTRY["DigitsCNN"] is models.DigitsCNN


def test_arguments_that_cannot_be_passed_by_keyword_are_refused():
    class Variadic(nn.Module):
        def __init__(self, *sizes):
            super().__init__()
            self.sizes = sizes

    with pytest.raises(ValueError, match=r"\*sizes"):
        register(Variadic)
    assert "Variadic" not in REGISTRY


# ---- what the probes promise ------------------------------------------------------------------


def test_tap_reports_its_flag_and_its_detached_input():
    seen = []
    tap = probes.Tap(lambda training, x: seen.append((training, x)))
    x = torch.randn(2, 3, requires_grad=True)
    assert tap(x) is x
    tap.eval()(x)
    assert [training for training, _ in seen] == [True, False]
    assert torch.equal(seen[0][1], x)
    assert not seen[0][1].requires_grad


def test_grad_tap_reports_whether_gradients_are_recorded():
    seen = []
    tap = probes.GradTap(lambda recording, _: seen.append(recording))
    tap(torch.ones(1))
    with torch.no_grad():
        tap(torch.ones(1))
    with torch.inference_mode():
        tap(torch.ones(1))
    assert seen == [True, False, False]


def test_tap_shows_a_meta_tensor_as_zeros():
    seen = []
    probes.Tap(lambda _, x: seen.append(x))(torch.empty(2, 3, device="meta"))
    assert torch.equal(seen[0], torch.zeros(2, 3))


def test_tied_layers_share_one_parameter():
    tied = probes.Tied()
    assert tied.first.weight is tied.second.weight
    aliased = probes.Aliased()
    assert aliased.first is aliased.second
    embedding = probes.TiedEmbedding()
    assert embedding.output.weight is embedding.embedding.weight


def test_mixed_modes_differ_below_the_root():
    flags = {name: module.training for name, module in probes.MixedModes().named_modules()}
    assert flags[""]
    assert flags["tail.0"]
    assert not flags["frozen"]
    assert not flags["tail.3"]


def test_auxiliary_calls_its_extra_head_in_training_only():
    model, calls = probes.Auxiliary(), []
    model.extra.register_forward_hook(lambda *_: calls.append(1))
    model(torch.randn(2, 5))
    model.eval()(torch.randn(2, 5))
    assert len(calls) == 1


def test_raises_calls_its_first_layer_then_raises_its_message():
    model, calls = probes.Raises(message="on purpose"), []
    model.first.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(RuntimeError, match="on purpose"):
        model(torch.randn(2, 5))
    assert calls == [1]
