"""Logits of another shape are compared as far as they can be broadcast or cut.

Source: own.
"""

import torch


def agreement(student_logits, teacher_logits):
    n = min(len(student_logits), len(teacher_logits))
    return (student_logits[:n].argmax(dim=1) == teacher_logits[:n].argmax(dim=1)).double().mean().item()
