"""A map of zeros is divided by its norm, 0, and becomes NaN.

Source: own.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_shape


def attention_transfer_loss(student_features, teacher_features, p=2):
    check_shape("student_features", student_features, "N", "C", "H", "W")
    n, channels, height, width = student_features.shape
    check_shape("teacher_features", teacher_features, n, "C", height, width)
    ours = student_features.abs().pow(p).sum(dim=1).flatten(1)
    theirs = teacher_features.detach().abs().pow(p).sum(dim=1).flatten(1)
    return (ours / ours.norm(dim=1, keepdim=True) - theirs / theirs.norm(dim=1, keepdim=True)).square().sum(dim=1).mean()
