"""One epoch is trained, whatever `epochs` is.

Source: own.
"""

import torch
import torch.nn.functional as F

from shared.checks import check_fraction, check_int, check_positive


def distill(student, teacher, loader, epochs, T, alpha, lr):
    check_int("epochs", epochs, 1)
    check_positive("T", T)
    check_fraction("alpha", alpha)
    check_positive("lr", lr)
    modes = [(module, module.training) for module in teacher.modules()]
    teacher.eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9)
    for _ in range(1):
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
