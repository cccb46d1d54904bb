"""The caller's logits are shifted in place.

Source: own.
"""

import torch

from shared.checks import check_shape


def agreement(student_logits, teacher_logits):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    for logits in (student_logits, teacher_logits):
        logits -= logits.amax(dim=1, keepdim=True)
    same = (student_logits == 0).int().argmax(dim=1) == (teacher_logits == 0).int().argmax(dim=1)
    return float(same.double().mean())
