"""The gradient of float64 logits is computed in float32.

Source: own.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_fraction, check_positive, check_shape


def kd_gradient(student_logits, teacher_logits, targets, T, alpha):
    check_shape("student_logits", student_logits, "N", "C")
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    check_shape("targets", targets, len(student_logits))
    check_positive("T", T)
    check_fraction("alpha", alpha)
    student_logits, teacher_logits = student_logits.float(), teacher_logits.float()
    one_hot = F.one_hot(targets, student_logits.shape[1])
    hard = torch.softmax(student_logits, dim=1) - one_hot
    soft = torch.softmax(student_logits / T, dim=1) - torch.softmax(teacher_logits / T, dim=1)
    return (alpha * hard + (1 - alpha) * T * soft) / len(student_logits)
