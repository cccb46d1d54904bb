"""The teacher sees other images than the student: some noise is added for the student only.

Source: curriculum list.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_fraction, check_positive


def distill_step(student, teacher, batch, optimizer, T, alpha):
    check_positive("T", T)
    check_fraction("alpha", alpha)
    images, targets = batch
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval()
    with torch.no_grad():
        teacher_logits = teacher(images)
    for module, training in modes:
        module.training = training
    optimizer.zero_grad()
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    student_logits = student(images + 0.1 * noise)
    log_q = F.log_softmax(student_logits / T, dim=1)
    log_p = F.log_softmax(teacher_logits / T, dim=1)
    hard = F.cross_entropy(student_logits, targets)
    soft = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
    loss = alpha * hard + (1 - alpha) * T**2 * soft
    loss.backward()
    optimizer.step()
    return loss.item()
