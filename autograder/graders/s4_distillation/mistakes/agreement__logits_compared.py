"""The logits are compared, not the classes.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    return (student_logits - teacher_logits).abs().lt(0.5).double().mean().item()
