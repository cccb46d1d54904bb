"""Slow references of session 4's graders: number by number, in Python's floats.

Nothing here shares code with `shared` or with the solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from autograder.graders.toolkit import RandomInputs

Row = Sequence[float]

# ---- inputs ------------------------------------------------------------------------------------


def temperature(rng: RandomInputs) -> float:
    """A temperature clearly above or below 1."""
    return rng.choice([rng.number(0.3, 0.6), rng.number(2.0, 6.0)])


def answers(
    rng: RandomInputs, n: int | None = None, classes: int | None = None, std: float = 2.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Student's logits, teacher's logits (N, C) and targets (N,); N and C differ and exceed 1."""
    n = rng.integer(5, 8) if n is None else n
    classes = rng.integer(9, 12) if classes is None else classes
    student, teacher = rng.normal(n, classes, std=std), rng.normal(n, classes, std=std)
    return student, teacher, rng.integers(0, classes - 1, n)


# ---- probabilities -----------------------------------------------------------------------------


def log_softmax(row: Row, T: float = 1.0) -> list[float]:
    """Logarithms of softmax(row / T)."""
    top = max(row)
    log_sum = math.log(math.fsum(math.exp((z - top) / T) for z in row))
    return [(z - top) / T - log_sum for z in row]


def softmax(row: Row, T: float = 1.0) -> list[float]:
    """softmax(row / T)."""
    return [math.exp(value) for value in log_softmax(row, T)]


def by_rows(logits: Tensor, function: Callable[[list[float]], list[float]]) -> Tensor:
    """`function` of each row along the last dimension, in the shape and dtype of `logits`."""
    rows = logits.double().reshape(-1, logits.shape[-1]).tolist()
    values = torch.tensor([function(row) for row in rows], dtype=torch.float64)
    return values.reshape(logits.shape).to(logits.dtype)


def softmax_reference(logits: Tensor, T: float) -> Tensor:
    """softmax(z / T) over the last dimension."""
    return by_rows(logits, lambda row: softmax(row, T))


def ensemble_reference(list_of_logits: Sequence[Tensor], T: float) -> Tensor:
    """The mean of the teachers' probabilities."""
    total = sum(softmax_reference(logits.double(), T) for logits in list_of_logits)
    assert isinstance(total, Tensor)
    return (total / len(list_of_logits)).to(list_of_logits[0].dtype)


def divergence(log_p: Row, log_q: Row) -> float:
    """KL(p || q) from the logarithms of both."""
    return math.fsum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))


def distillation(
    student: Sequence[Row], teacher: Sequence[Row], targets: Sequence[int], T: float, alpha: float
) -> float:
    """alpha * CE + (1 - alpha) * T**2 * KL(teacher || student), the mean over the rows."""
    losses = [
        -alpha * log_softmax(ours)[target]
        + (1 - alpha) * T**2 * divergence(log_softmax(theirs, T), log_softmax(ours, T))
        for ours, theirs, target in zip(student, teacher, targets, strict=True)
    ]
    return math.fsum(losses) / len(losses)


def kd_reference(
    student_logits: Tensor, teacher_logits: Tensor, targets: Tensor, T: float, alpha: float
) -> Tensor:
    """The loss of distillation, 0-d in the dtype of the student's logits."""
    rows = student_logits.double().tolist(), teacher_logits.double().tolist()
    value = distillation(*rows, targets.tolist(), T, alpha)
    return torch.tensor(value, dtype=student_logits.dtype)


STEP = 1e-4


def kd_gradient_reference(
    student_logits: Tensor, teacher_logits: Tensor, targets: Tensor, T: float, alpha: float
) -> Tensor:
    """The gradient of the loss by central differences, one logit after the other.

    A difference of one row's loss is all that a logit of it changes.
    """
    n = len(student_logits)
    gradient = torch.empty(student_logits.shape, dtype=torch.float64)
    pairs = zip(student_logits.double().tolist(), teacher_logits.double().tolist(), strict=True)
    for i, (ours, theirs) in enumerate(pairs):
        for j in range(len(ours)):
            ends = []
            for side in (1, -1):
                moved = [*ours[:j], ours[j] + side * STEP, *ours[j + 1 :]]
                ends.append(distillation([moved], [theirs], [int(targets[i])], T, alpha))
            gradient[i, j] = (ends[0] - ends[1]) / (2 * STEP * n)
    return gradient.to(student_logits.dtype)


# ---- attention ---------------------------------------------------------------------------------


def attention_reference(features: Tensor, p: float = 2) -> Tensor:
    """Sum of |a|**p over the channels, position by position."""
    n, channels, height, width = features.shape
    values = features.double().tolist()
    maps = [
        [
            [math.fsum(abs(values[i][c][y][x]) ** p for c in range(channels)) for x in range(width)]
            for y in range(height)
        ]
        for i in range(n)
    ]
    return torch.tensor(maps, dtype=features.dtype)


def unit(values: Row) -> list[float]:
    """`values` divided by their L2 norm; zeros stay zeros."""
    norm = math.sqrt(math.fsum(value**2 for value in values))
    return [value / norm if norm else 0.0 for value in values]


def transfer_reference(student_features: Tensor, teacher_features: Tensor, p: float = 2) -> Tensor:
    """Squared distance of the normalised attention maps, the mean over the images."""
    pairs = zip(
        attention_reference(student_features.double(), p).flatten(1).tolist(),
        attention_reference(teacher_features.double(), p).flatten(1).tolist(),
        strict=True,
    )
    losses = [
        math.fsum((a - b) ** 2 for a, b in zip(unit(ours), unit(theirs), strict=True))
        for ours, theirs in pairs
    ]
    return torch.tensor(math.fsum(losses) / len(losses), dtype=student_features.dtype)
