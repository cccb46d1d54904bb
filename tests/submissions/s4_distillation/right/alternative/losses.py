"""Session 4, losses, by other formulas: logsumexp, cross-entropies, cosines, autograd."""

import math

import torch
import torch.nn.functional as F


def _temperature(T):
    T = float(T)
    if not T > 0 or math.isinf(T):
        raise ValueError(f"temperature {T} is not positive")
    return T


def _arguments(student_logits, teacher_logits, targets, T, alpha):
    if alpha < 0 or alpha > 1:
        raise ValueError(f"alpha = {alpha} is no share")
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(f"{list(student_logits.shape)} against {list(teacher_logits.shape)}")
    if targets.shape != student_logits.shape[:1]:
        raise ValueError(f"{targets.numel()} targets for {len(student_logits)} rows")
    return _temperature(T)


def softmax_with_temperature(logits, T):
    scaled = logits / _temperature(T)
    return (scaled - scaled.logsumexp(-1, keepdim=True)).exp()


def kd_loss(student_logits, teacher_logits, targets, T, alpha):
    T = _arguments(student_logits, teacher_logits, targets, T, alpha)
    log_p = (teacher_logits / T).log_softmax(-1)
    p = log_p.exp()
    crossed = F.cross_entropy(student_logits / T, p)  # with soft targets
    own = -(p * log_p).sum() / len(p)
    hard = F.nll_loss(student_logits.log_softmax(-1), targets)
    return hard.mul(alpha) + (crossed - own).mul((1 - alpha) * T * T)


def kd_gradient(student_logits, teacher_logits, targets, T, alpha):
    _arguments(student_logits, teacher_logits, targets, T, alpha)
    leaf = student_logits.detach().double().requires_grad_()
    with torch.enable_grad():
        loss = kd_loss(leaf, teacher_logits.double(), targets, T, alpha)
    return torch.autograd.grad(loss, leaf)[0].to(student_logits.dtype)


def ensemble_soft_targets(list_of_logits, T):
    T = _temperature(T)
    first, *others = [each.shape for each in list_of_logits] or [None]
    if first is None or any(shape != first for shape in others):
        raise ValueError("an ensemble needs at least one member, and all of one shape")
    logs = torch.stack([(each / T).log_softmax(-1) for each in list_of_logits])
    return (logs.logsumexp(0) - math.log(len(logs))).exp()


def hint_loss(student_features, teacher_features, regressor):
    guess = regressor(student_features)
    if list(guess.shape) != list(teacher_features.shape):
        raise ValueError(f"{list(guess.shape)} against {list(teacher_features.shape)}")
    return F.mse_loss(guess, teacher_features, reduction="sum")


def attention_map(features, p=2):
    return torch.einsum("nchw->nhw", features.abs().pow(p))


def attention_transfer_loss(student_features, teacher_features, p=2):
    shapes = [(len(each), *each.shape[-2:]) for each in (student_features, teacher_features)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{shapes[0]} against {shapes[1]}")
    units = []
    for features in (student_features, teacher_features):
        maps = features.abs().pow(p).sum(1).flatten(1)
        units.append(maps / maps.norm(dim=1, keepdim=True).clamp_min(1e-30))
    ours, theirs = units
    # |a - b|^2 = |a|^2 + |b|^2 - 2 a b
    squares = ours.square().sum(1) + theirs.square().sum(1) - 2 * (ours * theirs).sum(1)
    return squares.mean()
