"""1 or 0 is returned: whether all answers are equal.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    return float((student_logits.argmax(dim=1) == teacher_logits.argmax(dim=1)).all())
