"""The logarithm is taken of a softmax that has underflowed to 0: use log_softmax.

Source: curriculum list.
"""

import torch.nn.functional as F

from shared.checks import check_fraction, check_positive, check_shape


def kd_loss(student_logits, teacher_logits, targets, T, alpha):
    check_shape("student_logits", student_logits, "N", "C")
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    check_shape("targets", targets, len(student_logits))
    check_positive("T", T)
    check_fraction("alpha", alpha)
    hard = F.cross_entropy(student_logits, targets)
    log_q = F.softmax(student_logits / T, dim=1).log()
    log_p = F.softmax(teacher_logits.detach() / T, dim=1).log()
    soft = (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()
    return alpha * hard + (1 - alpha) * T**2 * soft
