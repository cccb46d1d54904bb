"""The number of equal answers is divided by the number of classes, not of images.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    return int((student_logits.argmax(dim=1) == teacher_logits.argmax(dim=1)).sum()) / student_logits.shape[1]
