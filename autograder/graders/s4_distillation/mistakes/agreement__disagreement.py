"""The share of different answers is returned.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    return 1 - (student_logits.argmax(dim=1) == teacher_logits.argmax(dim=1)).double().mean().item()
