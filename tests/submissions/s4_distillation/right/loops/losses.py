"""Session 4, losses, with plain loops over rows and classes."""

import torch


def _positive(name, value):
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be positive, got {value!r}")


def _log_probabilities(row, T):
    """log softmax(row / T) of one vector."""
    scaled = row / T
    shifted = scaled - scaled.max().detach()
    return shifted - shifted.exp().sum().log()


def _check(student_logits, teacher_logits, targets, T, alpha):
    _positive("T", T)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in 0..1, got {alpha!r}")
    if student_logits.dim() != 2 or student_logits.shape != teacher_logits.shape:
        raise ValueError(f"teacher_logits: {tuple(teacher_logits.shape)} does not fit")
    if targets.dim() != 1 or len(targets) != len(student_logits):
        raise ValueError(f"targets: {tuple(targets.shape)} does not fit")


def softmax_with_temperature(logits, T):
    _positive("T", T)
    rows = logits.reshape(-1, logits.shape[-1])
    return torch.stack([_log_probabilities(row, T).exp() for row in rows]).reshape(logits.shape)


def kd_loss(student_logits, teacher_logits, targets, T, alpha):
    _check(student_logits, teacher_logits, targets, T, alpha)
    total = 0.0
    for student, teacher, target in zip(student_logits, teacher_logits, targets):
        hard = -_log_probabilities(student, 1.0)[target]
        log_p = _log_probabilities(teacher, T)
        log_q = _log_probabilities(student, T)
        soft = 0.0
        for a, b in zip(log_p, log_q):
            soft = soft + a.exp() * (a - b)
        total = total + alpha * hard + (1 - alpha) * T * T * soft
    return total / len(targets)


def kd_gradient(student_logits, teacher_logits, targets, T, alpha):
    _check(student_logits, teacher_logits, targets, T, alpha)
    result = torch.zeros_like(student_logits)
    for i in range(len(targets)):
        now = _log_probabilities(student_logits[i], 1.0).exp()
        q = _log_probabilities(student_logits[i], T).exp()
        p = _log_probabilities(teacher_logits[i], T).exp()
        for c in range(student_logits.shape[1]):
            hard = now[c] - (1.0 if c == int(targets[i]) else 0.0)
            result[i, c] = (alpha * hard + (1 - alpha) * T * (q[c] - p[c])) / len(targets)
    return result


def ensemble_soft_targets(list_of_logits, T):
    if not list_of_logits:
        raise ValueError("list_of_logits must not be empty")
    _positive("T", T)
    total = torch.zeros_like(list_of_logits[0])
    for logits in list_of_logits:
        if logits.shape != total.shape:
            raise ValueError(f"list_of_logits: {tuple(logits.shape)} is not {tuple(total.shape)}")
        total = total + softmax_with_temperature(logits, T)
    return total / len(list_of_logits)


def hint_loss(student_features, teacher_features, regressor):
    mapped = regressor(student_features)
    if mapped.shape != teacher_features.shape:
        raise ValueError(f"regressor gives {tuple(mapped.shape)}, not {tuple(teacher_features.shape)}")
    total = 0.0
    for ours, theirs in zip(mapped.flatten(), teacher_features.flatten()):
        total = total + (ours - theirs) ** 2
    return total / mapped.numel()


def attention_map(features, p=2):
    n, channels, height, width = features.shape
    result = torch.zeros(n, height, width, dtype=features.dtype)
    for c in range(channels):
        result = result + features[:, c].abs() ** p
    return result


def attention_transfer_loss(student_features, teacher_features, p=2):
    if student_features.shape[0] != teacher_features.shape[0]:
        raise ValueError("teacher_features: another number of images")
    if student_features.shape[2:] != teacher_features.shape[2:]:
        raise ValueError("teacher_features: another height or width")
    total = 0.0
    ours, theirs = attention_map(student_features, p), attention_map(teacher_features, p)
    for a, b in zip(ours, theirs):
        if a.any():
            a = a / (a**2).sum().sqrt()
        if b.any():
            b = b / (b**2).sum().sqrt()
        total = total + ((a - b) ** 2).sum()
    return total / len(ours)
