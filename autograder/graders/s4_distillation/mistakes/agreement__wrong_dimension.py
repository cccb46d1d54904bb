"""The largest logit is searched among the images, not among the classes.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    return (student_logits.argmax(dim=0) == teacher_logits.argmax(dim=0)).double().mean().item()
