"""A temperature of 0 or below is accepted.

Source: curriculum list.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_fraction


def distill(student, teacher, loader, epochs, T, alpha, lr):
    check_fraction("alpha", alpha)
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        for images, targets in loader:
            with torch.no_grad():
                log_p = F.log_softmax(teacher(images) / T, dim=1)
            optimizer.zero_grad()
            logits = student(images)
            log_q = F.log_softmax(logits / T, dim=1)
            soft = F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
            (alpha * F.cross_entropy(logits, targets) + (1 - alpha) * T**2 * soft).backward()
            optimizer.step()
    for module, training in modes:
        module.training = training
    return student
