"""Session 4, training: a small network learns from a large one, with data and without.

A *teacher* answers, a *student* learns from the answers; both are modules that map images
(N, C, H, W) to logits (N, classes). The teacher is only asked: it is in eval mode, without
gradients, and after every call here it is as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.checks import (
    check_fraction,
    check_int,
    check_positive,
    check_shape,
    refuse,
)

BALANCE = 5.0  # weight of the balance of the classes among generated images
MOST_CONTEST = 20.0  # nothing is gained by images on which the student differs more

Batch = Sequence[Tensor]
"""Images, float (N, C, H, W), and targets, int64 (N,)."""


@contextmanager
def _only_asked(teacher: nn.Module) -> Iterator[None]:
    """The teacher in eval mode, its parameters constants; every submodule as before afterwards."""
    # BEGIN SOLUTION s4.distill_step
    modes = [(module, module.training) for module in teacher.modules()]
    trainable = [(parameter, parameter.requires_grad) for parameter in teacher.parameters()]
    teacher.eval()
    for parameter, _ in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, flag in trainable:
            parameter.requires_grad_(flag)
    # END SOLUTION


# ---- with data -----------------------------------------------------------------------------------


def distill_step(
    student: nn.Module,
    teacher: nn.Module,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    T: float,
    alpha: float,
) -> float:
    """Take one step of distillation and return the loss before it.

    The loss is alpha * CE(targets, student) + (1 - alpha) * T**2 * KL(teacher || student) at
    temperature T, the mean over the batch (`losses.kd_loss`). Student and teacher see the same
    images. Old gradients of the student do not count, and the optimiser takes one step.

    Args:
        student: changed in place.
        teacher: asked in eval mode and without gradients; parameters, buffers, gradients,
            `requires_grad` and the mode of every submodule are afterwards as before.
        batch: images and targets.
        optimizer: of the student's parameters.
        T: temperature, above 0.
        alpha: 0..1, the share of the targets.

    Raises:
        ValueError: if `T` is not positive or `alpha` is outside 0..1; then nothing changes.
    """
    # BEGIN SOLUTION s4.distill_step
    from losses import kd_loss

    check_positive("T", T)
    check_fraction("alpha", alpha)
    images, targets = batch
    with _only_asked(teacher), torch.no_grad():
        teacher_logits = teacher(images)
    student.train()
    optimizer.zero_grad()
    loss = kd_loss(student(images), teacher_logits, targets, T, alpha)
    loss.backward()
    optimizer.step()
    return loss.item()
    # END SOLUTION


def distill(
    student: nn.Module,
    teacher: nn.Module,
    loader: Iterable[Batch],
    epochs: int,
    T: float,
    alpha: float,
    lr: float,
) -> nn.Module:
    """Train `student` on the batches of `loader` with the help of `teacher`, and return it.

    So that only the teacher makes the difference, all else is fixed: stochastic gradient descent
    with momentum 0.9, the constant learning rate `lr`, no weight decay, the images as they come
    (no augmentation), `epochs` times through the loader, the loss of `distill_step`. The teacher
    is asked about every batch, since a loader may give other images each time.

    Args:
        student: trained in place, or a copy of it is.
        teacher: as in `distill_step`.
        loader: gives batches of images and targets.
        epochs: at least 1.
        T: temperature, above 0.
        alpha: 0..1, the share of the targets.
        lr: learning rate, above 0.

    Returns:
        The trained network.

    Raises:
        ValueError: if `epochs`, `T`, `alpha` or `lr` is none of the above.
    """
    # BEGIN SOLUTION s4.distill
    check_int("epochs", epochs, 1)
    check_positive("T", T)
    check_fraction("alpha", alpha)
    check_positive("lr", lr)
    optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        for batch in loader:
            distill_step(student, teacher, batch, optimizer, T, alpha)
    return student
    # END SOLUTION


def temperature_schedule(epoch: int, epochs: int, start: float = 8.0, end: float = 1.0) -> float:
    """Return the temperature of an epoch: linear from `start` to `end`.

    Soft answers come first, sharper ones later (curriculum by temperature). Epoch 0 has `start`,
    epoch epochs - 1 and all later ones have `end`; a single epoch has `end`.

    Args:
        epoch: counted from 0.
        epochs: 1 or more.
        start, end: temperatures, above 0.

    >>> [temperature_schedule(epoch, 5, start=5.0) for epoch in range(6)]
    [5.0, 4.0, 3.0, 2.0, 1.0, 1.0]
    """
    # BEGIN SOLUTION s4.temperature_schedule
    if epoch >= epochs - 1:
        return end
    return start + (end - start) * epoch / (epochs - 1)
    # END SOLUTION


def agreement(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """Return the share of images, 0..1, to which both give the same class.

    It needs no labels, and says how faithful the student is, not how good: both may be wrong.

    Args:
        student_logits: floating (N, C), N at least 1.
        teacher_logits: floating, of the same shape.

    Raises:
        ValueError: if the shapes differ or there are no images.

    >>> agreement(torch.tensor([[0.0, 1.0], [3.0, 2.0]]), torch.tensor([[1.0, 9.0], [0.0, 1.0]]))
    0.5
    """
    # BEGIN SOLUTION s4.agreement
    check_shape("student_logits", student_logits, "N", "C")
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    if len(student_logits) == 0:
        raise refuse("student_logits", "at least one row", student_logits)
    same = student_logits.argmax(dim=1) == teacher_logits.argmax(dim=1)
    return int(same.sum()) / len(same)
    # END SOLUTION


# ---- extra credit: decoupled distillation --------------------------------------------------------


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    T: float,
    alpha: float,
    beta: float,
) -> Tensor:
    """Return T**2 * (alpha * TCKD + beta * NCKD), the mean over the batch (Zhao et al. 2022).

    At temperature T let p be a teacher's and q a student's probabilities, and t the target class.

    - TCKD is the divergence of (p_t, 1 - p_t) from (q_t, 1 - q_t): how hard is this image?
    - NCKD is the divergence of the other classes among themselves, both renormalised without t.

    KL(p || q) = TCKD + (1 - p_t) * NCKD (equation 7): plain distillation plays down what the
    teacher knows of the other classes just where it is sure. Here both have weights of their own.

    Args:
        student_logits: floating (N, C), C at least 2; the loss is differentiable in them.
        teacher_logits: floating (N, C), constants.
        targets: int64 (N,), 0..C-1.
        T: temperature, above 0.
        alpha: weight of TCKD, at least 0.
        beta: weight of NCKD, at least 0.

    Returns:
        A 0-d tensor, finite for |z / T| up to 1000.

    Raises:
        ValueError: if the shapes differ or `T` is not positive.
    """
    # BEGIN SOLUTION s4.dkd_loss
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    check_shape("targets", targets, len(student_logits))
    check_positive("T", T)
    others = torch.ones_like(student_logits, dtype=torch.bool).scatter(1, targets[:, None], False)
    parts = []
    for z in (teacher_logits.detach() / T, student_logits / T):
        target, rest = z.gather(1, targets[:, None]), z[others].reshape(len(z), -1)
        two = torch.cat([target, rest.logsumexp(dim=1, keepdim=True)], dim=1)
        parts.append((F.log_softmax(two, dim=1), F.log_softmax(rest, dim=1)))
    (p, p_others), (q, q_others) = parts
    tckd = F.kl_div(q, p, reduction="batchmean", log_target=True)
    nckd = F.kl_div(q_others, p_others, reduction="batchmean", log_target=True)
    return T**2 * (alpha * tckd + beta * nckd)
    # END SOLUTION


# ---- extra credit: speculative sampling ----------------------------------------------------------


def speculative_accept(
    draft_tokens: Sequence[int],
    draft_probs: Tensor,
    target_probs: Tensor,
    generator: torch.Generator,
) -> tuple[list[int], int]:
    """Decide how much of a draft to keep (Leviathan et al. 2023, algorithm 1).

    A small, distilled model drafted k tokens, the i-th drawn from `draft_probs[i]`; the large
    model says in one pass what it would have drawn them from, `target_probs[i]`. Token x is
    accepted with probability min(1, target_probs[i, x] / draft_probs[i, x]). At the first
    rejection the draft ends, and one token is drawn from the positive part of
    target_probs[i] - draft_probs[i], renormalised. If all were accepted, a bonus token comes from
    `target_probs[k]`. Every token so has exactly the large model's distribution.

    Args:
        draft_tokens: k ints below V; k may be 0.
        draft_probs: floating (k, V), rows of probabilities.
        target_probs: floating (k + 1, V), rows of probabilities.
        generator: the only source of random numbers.

    Returns:
        tokens: the accepted prefix and one more token.
        accepted: length of the prefix, 0..k.

    Raises:
        ValueError: if the shapes do not fit, or a token is outside 0..V-1.
    """
    # BEGIN SOLUTION s4.speculative_accept
    check_shape("target_probs", target_probs, len(draft_tokens) + 1, "V")
    check_shape("draft_probs", draft_probs, len(draft_tokens), target_probs.shape[1])
    tokens = [int(token) for token in draft_tokens]
    for place, (token, q, p) in enumerate(zip(tokens, draft_probs, target_probs)):
        check_int("draft_tokens", token, 0, target_probs.shape[1] - 1)
        chance = torch.rand((), generator=generator, dtype=torch.float64)
        if chance * q[token] < p[token]:  # chance < p / q
            continue
        residual = (p - q).clamp(min=0)
        # Rounding may reject where p and q are one distribution; then draw from that.
        weights = residual if residual.sum() > 0 else p
        return [*tokens[:place], int(torch.multinomial(weights, 1, generator=generator))], place
    bonus = torch.multinomial(target_probs[-1], 1, generator=generator)
    return [*tokens, int(bonus)], len(tokens)
    # END SOLUTION


# ---- extra credit: without data ------------------------------------------------------------------


def _divergence(teacher_logits: Tensor, student_logits: Tensor, T: float) -> Tensor:
    """T**2 * KL(teacher || student), differentiable in both."""
    # BEGIN SOLUTION s4.distill_without_data
    log_p = F.log_softmax(teacher_logits / T, dim=1)
    log_q = F.log_softmax(student_logits / T, dim=1)
    return T**2 * F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    # END SOLUTION


@contextmanager
def _unlike_the_data(network: nn.Module) -> Iterator[list[Tensor]]:
    """A list to which each 2-d batch norm adds how far its input is from what it remembers.

    That is the distance of the means of all channels and of their variances, in every forward pass.
    """
    # BEGIN SOLUTION s4.distill_without_data
    distances: list[Tensor] = []

    def compare(layer: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        (x,) = inputs
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3))
        distances.append((mean - layer.running_mean).norm() + (variance - layer.running_var).norm())

    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(compare) for norm in norms]
    try:
        yield distances
    finally:
        for hook in hooks:
            hook.remove()
    # END SOLUTION


def distill_without_data(
    teacher: nn.Module,
    generator: nn.Module,
    student: nn.Module,
    steps: int,
    batch_size: int,
    T: float,
    seed: int,
) -> nn.Module:
    """Distil where the teacher's data may not be used: a generator network draws the images.

    In every step `generator(z)` draws images from noise z (batch_size, generator.latent_dim).

    1. The generator takes a step towards images of which the teacher is sure (cross-entropy with
       its own best class), of all classes alike (the entropy of the mean answer is large; Chen et
       al. 2019), whose statistics are those that the teacher's batch norm remembers of its data
       (Yin et al. 2020), and on which the student still differs from it (Fang et al. 2019).
    2. The student takes a step towards the teacher's answers to these images, by
       T**2 * KL(teacher || student).

    Which of the four the generator's step has, and in which proportion, is yours.

    Args:
        teacher: asked in eval mode; afterwards it is as before. It sees generated images only.
        generator: trained in place; has an attribute `latent_dim`.
        student: trained in place, or a copy of it is. It sees generated images only.
        steps: at least 1, of both networks.
        batch_size: images drawn at a time, at least 2.
        T: temperature, above 0.
        seed: of the noise; global generators are not touched.

    Returns:
        The trained student.

    Raises:
        ValueError: if `steps`, `batch_size` or `T` is none of the above.
    """
    # BEGIN SOLUTION s4.distill_without_data
    check_int("steps", steps, 1)
    check_int("batch_size", batch_size, 2)
    check_positive("T", T)
    noise = torch.Generator().manual_seed(seed)
    latent_dim = int(generator.latent_dim)
    imagine = torch.optim.Adam(generator.parameters(), lr=0.003)
    learn = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9)
    with _only_asked(teacher), _unlike_the_data(teacher) as unlike:
        for _ in range(steps):
            unlike.clear()
            images = generator(torch.randn(batch_size, latent_dim, generator=noise))
            answers = teacher(images)
            sure = F.cross_entropy(answers, answers.argmax(dim=1))
            mean = F.softmax(answers, dim=1).mean(dim=0)
            balance = -torch.special.entr(mean).sum()
            contest = _divergence(answers, student(images), T).clamp(max=MOST_CONTEST)
            imagine.zero_grad()
            (sure + BALANCE * balance + sum(unlike) - contest).backward()
            imagine.step()
            learn.zero_grad()
            _divergence(answers.detach(), student(images.detach()), T).backward()
            learn.step()
    return student
    # END SOLUTION
