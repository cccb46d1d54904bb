"""The class is that of the largest magnitude, so that a very negative logit wins.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    return (student_logits.abs().argmax(dim=1) == teacher_logits.abs().argmax(dim=1)).double().mean().item()
