"""The part of the target has only p_t log(p_t / q_t), without the term of all others.

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
        return torch.stack([z.gather(1, targets[:, None])[:, 0], without(z).logsumexp(dim=1)], dim=1)

    def other(z):
        return without(z)

    def divergence(p, q):
        return F.kl_div(F.log_softmax(q, dim=1), F.log_softmax(p, dim=1), reduction="batchmean", log_target=True)

    tckd = (F.softmax(theirs, dim=1) * (F.log_softmax(theirs, dim=1) - F.log_softmax(ours, dim=1)))[~others].mean()
    nckd = divergence(other(theirs), other(ours))
    return T**2 * (alpha * tckd + beta * nckd)
