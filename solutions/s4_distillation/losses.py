"""Session 4, losses: what a student network learns from a teacher (Hinton et al. 2015 and after).

A teacher's answer to an image is more than the best class: the probabilities of all the others say
what the image resembles. The losses here compare answers (`kd_loss`), layers in between
(`hint_loss`) and where a network looks (`attention_transfer_loss`).

Logits are floating (N, C), one row an image; targets are class indices, int64 (N,).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.checks import check_fraction, check_integers, check_positive, check_shape, refuse


def _check_answers(student_logits: Tensor, teacher_logits: Tensor, targets: Tensor) -> None:
    """Both are (N, C) with one target in 0..C-1 a row; ValueError otherwise."""
    check_shape("student_logits", student_logits, "N", "C")
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    check_shape("targets", targets, len(student_logits))
    check_integers("targets", targets, 0, student_logits.shape[1] - 1)


# ---- answers -----------------------------------------------------------------------------------


def softmax_with_temperature(logits: Tensor, T: float) -> Tensor:
    """Return the probabilities softmax(z / T) over the last dimension (Hinton et al., equation 1).

    T = 1 is the usual softmax; a higher temperature makes the classes more alike, a lower one
    brings out the largest. Numbers of any size with |z / T| up to 1000 give finite results.

    Args:
        logits: floating, (..., C); not changed.
        T: temperature, above 0.

    Returns:
        Probabilities in the shape and dtype of `logits`.

    Raises:
        ValueError: if `T` is not positive and finite.

    >>> softmax_with_temperature(torch.tensor([0.0, 2.0]), T=2.0)
    tensor([0.2689, 0.7311])
    """
    # BEGIN SOLUTION s4.softmax_with_temperature
    check_positive("T", T)
    return torch.softmax(logits / T, dim=-1)  # subtracts the maximum before exp
    # END SOLUTION


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    T: float,
    alpha: float,
) -> Tensor:
    """Return alpha * CE + (1 - alpha) * T**2 * KL(teacher || student), the mean over the batch.

    CE is the cross-entropy of the student's answers (temperature 1) with the targets. KL is the
    Kullback-Leibler divergence sum_c p_c log(p_c / q_c), p the teacher's and q the student's
    probabilities, both at temperature `T`. T**2 keeps its gradient as large as that of CE,
    whatever the temperature (Hinton et al. 2015, section 2).

    Args:
        student_logits: floating (N, C); the loss is differentiable with respect to them.
        teacher_logits: floating (N, C), constants.
        targets: int64 (N,), 0..C-1.
        T: temperature, above 0.
        alpha: 0..1, the share of the targets.

    Returns:
        A 0-d tensor. It is finite for |z / T| up to 1000.

    Raises:
        ValueError: if the shapes differ, `T` is not positive, or `alpha` is outside 0..1.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> kd_loss(student, teacher, torch.tensor([1]), T=2.0, alpha=0.0)
    tensor(0.4438)
    >>> kd_loss(student, teacher, torch.tensor([1]), T=2.0, alpha=1.0)
    tensor(0.6931)
    """
    # BEGIN SOLUTION s4.kd_loss
    _check_answers(student_logits, teacher_logits, targets)
    check_positive("T", T)
    check_fraction("alpha", alpha)
    hard = F.cross_entropy(student_logits, targets)
    # Logarithms of both, never of a softmax: that underflows to log(0).
    log_q = F.log_softmax(student_logits / T, dim=1)
    log_p = F.log_softmax(teacher_logits.detach() / T, dim=1)
    soft = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    return alpha * hard + (1 - alpha) * T**2 * soft
    # END SOLUTION


def kd_gradient(
    student_logits: Tensor,
    teacher_logits: Tensor,
    targets: Tensor,
    T: float,
    alpha: float,
) -> Tensor:
    """Return the gradient of `kd_loss` with respect to the student's logits, in closed form.

    With probabilities q of the student and p of the teacher at temperature T, q^1 of the student
    at temperature 1, and the targets as one-hot rows y, each row is

        (alpha * (q^1 - y) + (1 - alpha) * T * (q - p)) / N

    (Hinton et al. 2015, equation 2, times T**2). Where T is large and all logits have mean 0, the
    soft part tends to (z_student - z_teacher) / C: matching logits is a limit of distillation.

    Arguments and errors as in `kd_loss`; nothing is differentiated here.

    Returns:
        (N, C) in the dtype of `student_logits`.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    >>> kd_gradient(student, teacher, torch.tensor([1]), T=2.0, alpha=0.0)
    tensor([[ 0.4621, -0.4621]])
    """
    # BEGIN SOLUTION s4.kd_gradient
    _check_answers(student_logits, teacher_logits, targets)
    check_positive("T", T)
    check_fraction("alpha", alpha)
    student_logits = student_logits.detach()
    one_hot = F.one_hot(targets, student_logits.shape[1])
    hard = softmax_with_temperature(student_logits, 1.0) - one_hot
    soft = softmax_with_temperature(student_logits, T) - softmax_with_temperature(
        teacher_logits.detach(), T
    )
    return (alpha * hard + (1 - alpha) * T * soft) / len(student_logits)
    # END SOLUTION


def ensemble_soft_targets(list_of_logits: Sequence[Tensor], T: float) -> Tensor:
    """Return what several teachers say together: the mean of their probabilities at `T`.

    Probabilities are averaged, not logits: each teacher has one vote, however loud its logits are.

    Args:
        list_of_logits: at least one tensor, all floating and of one shape (..., C).
        T: temperature, above 0.

    Returns:
        Probabilities in that shape, in the dtype of the logits.

    Raises:
        ValueError: if there are no logits, their shapes differ, or `T` is not positive.

    >>> ensemble_soft_targets([torch.tensor([0.0, 9.0]), torch.tensor([0.0, -1.0])], T=1.0)
    tensor([0.3656, 0.6344])
    """
    # BEGIN SOLUTION s4.ensemble_soft_targets
    if len(list_of_logits) == 0:
        raise refuse("list_of_logits", "at least one tensor", list_of_logits)
    for index, logits in enumerate(list_of_logits):
        check_shape(f"list_of_logits[{index}]", logits, *list_of_logits[0].shape)
    votes = [softmax_with_temperature(logits, T) for logits in list_of_logits]
    return torch.stack(votes).mean(dim=0)
    # END SOLUTION


# ---- what happens in between ---------------------------------------------------------------------


def hint_loss(
    student_features: Tensor, teacher_features: Tensor, regressor: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return how far the student's guided layer is from the teacher's hint layer (FitNets).

    1/2 * || teacher_features - regressor(student_features) ||**2, summed over the features and
    averaged over the batch (Romero et al. 2015, equation 3). The student's layer is narrower than
    the teacher's, so a `regressor` (a linear layer or a 1x1 convolution) maps it to the teacher's
    size. It is trained with the student: gradients reach its parameters and the student's features,
    not the teacher's. Any positive factor in place of 1/2 is right too.

    Args:
        student_features: floating (N, ...).
        teacher_features: floating (N, ...), constants.
        regressor: maps the student's features to the shape of the teacher's.

    Returns:
        A 0-d tensor.

    Raises:
        ValueError: if regressor(student_features) has another shape than `teacher_features`;
            nothing is broadcast.

    >>> hint_loss(torch.tensor([[1.0]]), torch.tensor([[3.0, 0.0]]), lambda x: x.repeat(1, 2))
    tensor(2.5000)
    """
    # BEGIN SOLUTION s4.hint_loss
    guided = regressor(student_features)
    check_shape("regressor(student_features)", guided, *teacher_features.shape)
    difference = guided - teacher_features.detach()
    return 0.5 * difference.square().sum() / len(student_features)
    # END SOLUTION


def attention_map(features: Tensor, p: float = 2) -> Tensor:
    """Return where a layer looks: the sum of |a|**p over the channels of each position.

    Zagoruyko & Komodakis (2017), section 3.1, F_sum^p. The map is not normalised.

    Args:
        features: floating (N, C, H, W).
        p: exponent, above 0; the higher, the more the strongest activations count.

    Returns:
        (N, H, W) in the dtype of `features`, differentiable.

    Raises:
        ValueError: if `features` has not four dimensions or `p` is not positive.

    >>> attention_map(torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]]))
    tensor([[[10.,  4.]]])
    """
    # BEGIN SOLUTION s4.attention_map
    check_shape("features", features, "N", "C", "H", "W")
    check_positive("p", p)
    return features.abs().pow(p).sum(dim=1)
    # END SOLUTION


def attention_transfer_loss(
    student_features: Tensor, teacher_features: Tensor, p: float = 2
) -> Tensor:
    """Return how differently student and teacher distribute their attention over an image.

    Each attention map is divided by its L2 norm, image by image; the loss is the squared L2
    distance of the two, summed over positions and averaged over the batch (after Zagoruyko &
    Komodakis 2017, equation 2). So neither the number of channels nor the size of the activations
    matters, and no regressor is needed. A map of zeros stays zero; nothing becomes NaN.

    Args:
        student_features: floating (N, C, H, W).
        teacher_features: floating (N, any number of channels, H, W), constants.
        p: exponent of `attention_map`.

    Returns:
        A 0-d tensor, 0 for equal attention and at most 2.

    Raises:
        ValueError: if N, H or W differ.

    >>> student = torch.tensor([[[[3.0, 0.0]]]])
    >>> attention_transfer_loss(student, torch.tensor([[[[0.0, 1.0]], [[0.0, 5.0]]]]))
    tensor(2.)
    """
    # BEGIN SOLUTION s4.attention_transfer_loss
    check_shape("student_features", student_features, "N", "C", "H", "W")
    n, _, height, width = student_features.shape
    check_shape("teacher_features", teacher_features, n, "C", height, width)
    # F.normalize divides by the norm or, should that be smaller, by 1e-12.
    ours = F.normalize(attention_map(student_features, p).flatten(1), dim=1)
    theirs = F.normalize(attention_map(teacher_features.detach(), p).flatten(1), dim=1)
    return (ours - theirs).square().sum(dim=1).mean()
    # END SOLUTION
