"""The probability of all others is 1 - p_t, which underflows to 0 where the network is sure.

Source: own.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_positive, check_shape


def dkd_loss(student_logits, teacher_logits, targets, T, alpha, beta):
    check_shape("teacher_logits", teacher_logits, *student_logits.shape)
    check_shape("targets", targets, len(student_logits))
    check_positive("T", T)
    ours, theirs = student_logits / T, teacher_logits.detach() / T
    others = torch.ones_like(ours, dtype=torch.bool).scatter(1, targets[:, None], False)

    def without(z):
        return z[others].reshape(len(z), -1)

    def binary(z):
        return torch.cat([F.softmax(z, dim=1).gather(1, targets[:, None]), 1 - F.softmax(z, dim=1).gather(1, targets[:, None])], dim=1)

    def other(z):
        return without(z)

    def divergence(p, q):
        return F.kl_div(F.log_softmax(q, dim=1), F.log_softmax(p, dim=1), reduction="batchmean", log_target=True)

    tckd = (binary(theirs) * (binary(theirs).log() - binary(ours).log())).sum(dim=1).mean()
    nckd = divergence(other(theirs), other(ours))
    return T**2 * (alpha * tckd + beta * nckd)
