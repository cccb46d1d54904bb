"""Only the student's logits are divided by the temperature: both have to be.

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
    log_q = F.log_softmax(student_logits / T, dim=1)
    log_p = F.log_softmax(teacher_logits.detach(), dim=1)
    soft = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    return alpha * hard + (1 - alpha) * T**2 * soft
