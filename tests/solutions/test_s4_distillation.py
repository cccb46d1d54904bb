"""The solution of session 4 against slow references and properties; its hand-out and lab sheet."""

from __future__ import annotations

import copy
import itertools
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from autograder.graders.common import accuracy
from autograder.graders.s4_distillation.networks import View
from autograder.graders.toolkit import RandomInputs
from shared.models import MLP, DigitsCNN, Generator
from tests.solutions import support
from tests.support import ROOT

FOLDER = ROOT / "solutions" / "s4_distillation"

losses = support.load(FOLDER, "losses")
distill = support.load(FOLDER, "distill")
MODULES = {"losses": losses, "distill": distill}
importable = support.importable(MODULES)

few = settings(max_examples=25)
seeds = st.integers(0, 10_000)
temperatures = st.sampled_from([0.3, 1.0, 4.0, 20.0])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(seed: int, n: int = 5, classes: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Student's and teacher's logits in float64, and targets."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (n,), generator=generator)
    one, other = 3 * normal(n, classes, seed=seed), 3 * normal(n, classes, seed=seed + 1)
    return one.double(), other.double(), targets


# ---- the course material -----------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_a_broken_module_costs_only_who_calls_it(name: str) -> None:
    """Modules of the session are imported inside functions, so each can be imported alone."""
    first = support.imported_first(FOLDER / f"{name}.py")
    assert not first & MODULES.keys()
    assert support.outside(first, "torch") <= {"shared.checks"}


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name: str) -> None:
    assert support.expect_true_examples(MODULES[name]) > 0


def test_hand_out_gives_the_points_and_thresholds_of_the_course() -> None:
    support.expect_points_of_the_course(FOLDER)
    limits = support.exercises(FOLDER)["distill"]["thresholds"]
    flowing = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    sentence = f"accuracy of {limits['full_accuracy']:.2f}, none at {limits['zero_accuracy']:.2f}"
    assert sentence in flowing


def test_worked_example_of_the_hand_out() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2 * math.log(3)]])
    targets = torch.tensor([1])
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    soft = losses.kd_loss(student, teacher, targets, 2.0, 0.0).item()
    assert soft / 4 == pytest.approx(0.1308, abs=5e-5)
    assert f"{soft:.4f}" in text
    assert f"{losses.kd_loss(student, teacher, targets, 2.0, 0.25).item():.4f}" in text
    for alpha in (0.0, 0.3, 1.0):
        gradient = losses.kd_gradient(student, teacher, targets, 2.0, alpha)
        assert torch.allclose(gradient, torch.tensor([[0.5, -0.5]]))
    q, p = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    assert f"{float((q * (q / p).log()).sum()):.4f}" in text


def test_lab_sheet_has_model_answers_for_20_points() -> None:
    support.expect_model_answers(FOLDER, questions=5)


SMALLER = {
    "SEEDS, IMAGES, WRONG = 3,": "SEEDS, IMAGES, WRONG = 2,",
    "(0.0, 0.1, 0.5, 0.9, 1.0)": "(0.1, 1.0)",
    "for step in range(60):": "for step in range(5):",
}


@pytest.mark.slow
def test_lab_sheet_runs_from_top_to_bottom(tmp_path: Path) -> None:
    support.lab_output(FOLDER, tmp_path, SMALLER)


# ---- losses ------------------------------------------------------------------------------------


@given(seeds, temperatures, st.floats(0, 1))
@few
def test_loss_is_the_formula_and_its_gradient_the_closed_form(
    seed: int, T: float, alpha: float
) -> None:
    student, teacher, targets = batch(seed)
    p, q = F.softmax(teacher / T, 1), F.softmax(student / T, 1)
    soft = (p * (p / q).log()).sum(1).mean()
    hard = -F.softmax(student, 1)[torch.arange(5), targets].log().mean()
    leaf = student.clone().requires_grad_()
    loss = losses.kd_loss(leaf, teacher, targets, T, alpha)
    assert loss.item() == pytest.approx(float(alpha * hard + (1 - alpha) * T**2 * soft), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, leaf)
    closed = losses.kd_gradient(student, teacher, targets, T, alpha)
    assert torch.allclose(gradient, closed, atol=1e-10)


@pytest.mark.parametrize("T", [0.5, 3.0])
def test_gradients_are_those_of_finite_differences(T: float) -> None:
    student, teacher, targets = batch(3, n=2, classes=4)
    leaf = student.requires_grad_()

    def plain(z: Tensor) -> Tensor:
        return losses.kd_loss(z, teacher, targets, T, 0.3)

    def decoupled(z: Tensor) -> Tensor:
        return distill.dkd_loss(z, teacher, targets, T, 0.7, 3.0)

    assert torch.autograd.gradcheck(plain, leaf)
    assert torch.autograd.gradcheck(decoupled, leaf)


def test_teacher_gets_no_gradient() -> None:
    student, teacher, targets = batch(0)
    teacher.requires_grad_()
    losses.kd_loss(student.requires_grad_(), teacher, targets, 2.0, 0.5).backward()
    assert teacher.grad is None


def test_gradient_tends_to_the_difference_of_centred_logits() -> None:
    student, teacher, targets = batch(1)
    difference = student - teacher
    expected = (difference - difference.mean(1, keepdim=True)) / difference.numel()
    found = losses.kd_gradient(student, teacher, targets, 1e4, 0.0)
    assert torch.allclose(found, expected, rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize("T", [0.5, 2.0])
def test_losses_of_large_logits_are_finite(T: float) -> None:
    student, teacher = torch.zeros(2, 4), torch.zeros(2, 4)
    student[0, 1], teacher[0, 2], teacher[1, 3] = 1000 * T, 1000 * T, -1000 * T
    targets = torch.tensor([2, 3])
    for alpha in (0.0, 0.5):
        assert torch.isfinite(losses.kd_loss(student, teacher, targets, T, alpha))
        assert torch.isfinite(losses.kd_gradient(student, teacher, targets, T, alpha)).all()
    assert torch.isfinite(distill.dkd_loss(student, teacher, targets, T, 1.0, 1.0))


@given(seeds, temperatures)
@few
def test_ensembles_are_means_of_probabilities(seed: int, T: float) -> None:
    several = [normal(3, 5, seed=seed + k) for k in range(3)]
    found = losses.ensemble_soft_targets(several, T)
    assert torch.allclose(found.sum(-1), torch.ones(3))
    assert torch.allclose(found, sum(F.softmax(each / T, -1) for each in several) / 3)
    assert torch.allclose(losses.ensemble_soft_targets(several[::-1], T), found)


def test_hints_train_student_and_regressor() -> None:
    torch.manual_seed(0)
    regressor = nn.Conv2d(2, 5, 1)
    student, teacher = normal(3, 2, 4, 4).requires_grad_(), normal(3, 5, 4, 4).requires_grad_()
    losses.hint_loss(student, teacher, regressor).backward()
    assert student.grad is not None
    assert teacher.grad is None
    assert all(parameter.grad is not None for parameter in regressor.parameters())


@given(seeds, st.sampled_from([1, 2, 3]), st.floats(0.1, 10))
@few
def test_attention_does_not_depend_on_loudness(seed: int, p: float, scale: float) -> None:
    student, teacher = normal(2, 3, 4, 5, seed=seed), normal(2, 6, 4, 5, seed=seed + 1)
    loss = losses.attention_transfer_loss(student, teacher, p)
    assert 0 <= loss <= 2
    assert torch.allclose(losses.attention_transfer_loss(scale * student, teacher, p), loss)
    assert losses.attention_transfer_loss(student, scale * student, p) < 1e-6


def test_attention_of_zeros_has_finite_gradients() -> None:
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss = losses.attention_transfer_loss(student, normal(2, 5, 4, 4))
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


LOGITS, CLASSES = torch.zeros(2, 3), torch.tensor([0, 2])
MAP = torch.zeros(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.softmax_with_temperature(LOGITS, 0), "T: expected positive"),
        (lambda: losses.kd_loss(LOGITS, LOGITS, CLASSES, -1.0, 0.5), "T: expected positive"),
        (lambda: losses.kd_loss(LOGITS, LOGITS, CLASSES, 1.0, 1.5), "alpha: expected"),
        (lambda: losses.kd_loss(LOGITS, LOGITS[:1], CLASSES, 1.0, 0.5), "(2, 3), got (1, 3)"),
        (lambda: losses.kd_gradient(LOGITS, LOGITS, CLASSES[:1], 1.0, 0.5), "(2,), got (1,)"),
        (lambda: losses.kd_loss(LOGITS, LOGITS, CLASSES + 1, 1.0, 0.5), "0..2, got 3"),
        (lambda: losses.ensemble_soft_targets([], 1.0), "at least one tensor"),
        (lambda: losses.ensemble_soft_targets([LOGITS, LOGITS[0]], 1.0), "list_of_logits[1]"),
        (lambda: losses.hint_loss(LOGITS, LOGITS[:1], nn.Identity()), "(1, 3), got (2, 3)"),
        (lambda: losses.attention_map(LOGITS), "features: expected shape (N, C, H, W)"),
        (lambda: losses.attention_transfer_loss(MAP, MAP.transpose(2, 3)), "teacher_features"),
        (lambda: distill.agreement(LOGITS, LOGITS[:1]), "(2, 3), got (1, 3)"),
        (lambda: distill.agreement(LOGITS[:0], LOGITS[:0]), "at least one row"),
        (lambda: distill.distill(MLP(), MLP(), [], 0, 1.0, 0.5, 0.1), "epochs: expected"),
        (lambda: distill.distill(MLP(), MLP(), [], 1, 0.0, 0.5, 0.1), "T: expected positive"),
        (
            lambda: distill.speculative_accept([3], LOGITS[:1], LOGITS, torch.Generator()),
            "draft_tokens: expected an int in 0..2, got 3",
        ),
    ],
)
def test_bad_arguments_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# ---- training ----------------------------------------------------------------------------------


class Broken(nn.Module):
    """Raises when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError(f"no answer to {len(x)}")


def test_a_teacher_that_raises_gets_its_modes_back() -> None:
    teacher, student = Broken().train(), nn.Linear(3, 2)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="no answer"):
        distill.distill_step(student, teacher, (normal(4, 3), CLASSES), optimizer, 2.0, 0.5)
    assert teacher.training
    assert teacher.inner.training


def test_distill_is_steps_of_sgd() -> None:
    torch.manual_seed(0)
    student, teacher = nn.Linear(6, 3), nn.Linear(6, 3)
    batches = [(normal(4, 6, seed=k), torch.tensor([0, 1, 2, 0])) for k in range(3)]
    other = copy.deepcopy(student)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    for images, targets in batches * 2:
        loss = losses.kd_loss(other(images), teacher(images), targets, 3.0, 0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert distill.distill(student, teacher, batches, 2, 3.0, 0.2, 0.1) is student
    assert torch.allclose(student.weight, other.weight)


@given(st.integers(1, 30), st.floats(1, 20), st.floats(0.1, 10))
@few
def test_schedule_is_a_line(epochs: int, start: float, end: float) -> None:
    values = [distill.temperature_schedule(e, epochs, start, end) for e in range(epochs + 3)]
    assert values[epochs - 1 :] == [end] * 4
    if epochs > 1:
        assert values[0] == start
        steps = [b - a for a, b in itertools.pairwise(values[:epochs])]
        assert all(step == pytest.approx(steps[0], abs=1e-9) for step in steps)


@given(seeds, temperatures)
@few
def test_decoupled_loss_adds_up_to_plain_distillation(seed: int, T: float) -> None:
    student, teacher, targets = batch(seed, n=1)
    p = F.softmax(teacher / T, 1)[0, targets]
    whole = losses.kd_loss(student, teacher, targets, T, 0.0).item()
    found = distill.dkd_loss(student, teacher, targets, T, 1.0, 1 - float(p)).item()
    assert found == pytest.approx(whole, rel=1e-6, abs=1e-9)


def test_speculation_has_the_targets_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    draft = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]])
    target = torch.tensor([[0.2, 0.1, 0.3, 0.4], [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    seen: Counter[int] = Counter()
    accepted, n = 0, 3000
    for _ in range(n):
        drafted = torch.multinomial(draft, 1, generator=generator).flatten().tolist()
        tokens, count = distill.speculative_accept(drafted, draft, target, generator)
        assert tokens[:count] == drafted[:count]
        assert len(tokens) == count + 1
        seen[tokens[0]] += 1
        accepted += count >= 1
    chi = sum(
        (seen[k] - n * target[0, k].item()) ** 2 / (n * target[0, k].item()) for k in range(4)
    )
    assert chi < 25  # 3 degrees of freedom
    assert accepted / n == pytest.approx(float(torch.minimum(draft[0], target[0]).sum()), abs=0.05)


def test_without_data_only_the_generator_and_the_student_change() -> None:
    torch.manual_seed(0)
    teacher, generator, student = DigitsCNN(3).train(), Generator(5, width=3), MLP((64, 9, 10))
    before, drawn = copy.deepcopy(teacher.state_dict()), copy.deepcopy(generator.state_dict())
    state = torch.get_rng_state()
    trained = distill.distill_without_data(teacher, generator, student, 3, 8, 3.0, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert trained is student
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(module._forward_hooks for module in teacher.modules())
    assert any(not torch.equal(v, drawn[name]) for name, v in generator.state_dict().items())


# ---- the graders' teachers ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_teacher_of_plain_digits_becomes_one_of_any_view() -> None:
    for seed in range(3):
        rng = RandomInputs(seed.to_bytes(8, "little"))
        view = View.of(rng)
        images, targets = view.digits(rng)
        assert accuracy(view.teacher(), images, targets) > 0.95
        assert accuracy(view.convolutional_teacher(), images, targets) > 0.9
