"""The loss of float64 features is computed in float32.

Source: own.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_shape


def attention_transfer_loss(student_features, teacher_features, p=2):
    check_shape("student_features", student_features, "N", "C", "H", "W")
    n, channels, height, width = student_features.shape
    check_shape("teacher_features", teacher_features, n, "C", height, width)
    ours = F.normalize(student_features.float().abs().pow(p).sum(dim=1).flatten(1), dim=1)
    theirs = F.normalize(teacher_features.detach().float().abs().pow(p).sum(dim=1).flatten(1), dim=1)
    return (ours - theirs).square().sum(dim=1).mean()
