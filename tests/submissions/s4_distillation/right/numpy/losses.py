"""Session 4, losses: NumPy in double precision; gradients written down, not derived by torch."""

import numpy as np
import torch
from torch.autograd import Function


def array(tensor):
    return tensor.detach().cpu().numpy().astype(np.float64)


def like(values, tensor):
    return torch.from_numpy(np.ascontiguousarray(values)).to(tensor.dtype)


def log_softmax(z):
    z = z - z.max(axis=-1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


def check_temperature(T):
    if not np.isfinite(T) or T <= 0:
        raise ValueError(f"T: a positive temperature is needed, got {T}")


def check_batch(student_logits, teacher_logits, targets, T, alpha):
    check_temperature(T)
    if not (alpha >= 0 and alpha <= 1):
        raise ValueError(f"alpha: a share is needed, got {alpha}")
    if tuple(student_logits.shape) != tuple(teacher_logits.shape):
        raise ValueError("the logits have different shapes")
    if tuple(targets.shape) != (student_logits.shape[0],):
        raise ValueError("one target for each row is needed")


def softmax_with_temperature(logits, T):
    check_temperature(T)
    return like(np.exp(log_softmax(array(logits) / T)), logits)


class Distillation(Function):
    @staticmethod
    def forward(ctx, student_logits, teacher_logits, targets, T, alpha):
        ctx.save_for_backward(student_logits.detach(), teacher_logits.detach(), targets)
        ctx.settings = T, alpha
        s, t, y = array(student_logits), array(teacher_logits), targets.numpy()
        hard = -log_softmax(s)[np.arange(len(y)), y].mean()
        log_p, log_q = log_softmax(t / T), log_softmax(s / T)
        soft = (np.exp(log_p) * (log_p - log_q)).sum(axis=1).mean()
        return student_logits.new_tensor(alpha * hard + (1 - alpha) * T**2 * soft)

    @staticmethod
    def backward(ctx, outer):
        student_logits, teacher_logits, targets = ctx.saved_tensors
        T, alpha = ctx.settings
        return outer * closed_form(student_logits, teacher_logits, targets, T, alpha), None, None, None, None


def closed_form(student_logits, teacher_logits, targets, T, alpha):
    s, t, y = array(student_logits), array(teacher_logits), targets.numpy()
    hard = np.exp(log_softmax(s))
    hard[np.arange(len(y)), y] -= 1
    soft = np.exp(log_softmax(s / T)) - np.exp(log_softmax(t / T))
    return like((alpha * hard + (1 - alpha) * T * soft) / len(y), student_logits)


def kd_loss(student_logits, teacher_logits, targets, T, alpha):
    check_batch(student_logits, teacher_logits, targets, T, alpha)
    return Distillation.apply(student_logits, teacher_logits, targets, T, alpha)


def kd_gradient(student_logits, teacher_logits, targets, T, alpha):
    check_batch(student_logits, teacher_logits, targets, T, alpha)
    return closed_form(student_logits, teacher_logits, targets, T, alpha)


def ensemble_soft_targets(list_of_logits, T):
    check_temperature(T)
    shapes = {tuple(logits.shape) for logits in list_of_logits}
    if len(shapes) != 1:
        raise ValueError(f"logits of one shape are needed, got {sorted(shapes)}")
    votes = np.stack([np.exp(log_softmax(array(logits) / T)) for logits in list_of_logits])
    return like(votes.mean(axis=0), list_of_logits[0])


def hint_loss(student_features, teacher_features, regressor):
    guided = regressor(student_features)
    if guided.size() != teacher_features.size():
        raise ValueError("the regressor's output has another size than the teacher's features")
    return 0.5 * torch.linalg.vector_norm(guided - teacher_features) ** 2


def attention_map(features, p=2):
    return like((np.abs(array(features)) ** p).sum(axis=1), features)


class Transfer(Function):
    @staticmethod
    def forward(ctx, student_features, teacher_features, p):
        ctx.save_for_backward(student_features.detach(), teacher_features.detach())
        ctx.p = p
        a, _ = unit(student_features, p)
        b, _ = unit(teacher_features, p)
        return student_features.new_tensor(((a - b) ** 2).sum() / len(a))

    @staticmethod
    def backward(ctx, outer):
        student_features, teacher_features = ctx.saved_tensors
        p = ctx.p
        a, norms = unit(student_features, p)
        b, _ = unit(teacher_features, p)
        to_unit = 2 * (a - b) / len(a)
        # d unit = (I - a a^T) / norm
        to_map = (to_unit - a * (a * to_unit).sum(axis=1, keepdims=True)) / norms
        x = array(student_features)
        to_map = to_map.reshape(x.shape[0], 1, *x.shape[2:])
        gradient = to_map * p * np.abs(x) ** (p - 1) * np.sign(x)
        return outer * like(gradient, student_features), None, None


def unit(features, p):
    maps = (np.abs(array(features)) ** p).sum(axis=1).reshape(len(features), -1)
    norms = np.sqrt((maps**2).sum(axis=1, keepdims=True))
    norms[norms == 0] = 1
    return maps / norms, norms


def attention_transfer_loss(student_features, teacher_features, p=2):
    a, b = student_features.shape, teacher_features.shape
    if (a[0], *a[2:]) != (b[0], *b[2:]):
        raise ValueError(f"features of {tuple(a)} and {tuple(b)} cannot be compared")
    return Transfer.apply(student_features, teacher_features, p)
