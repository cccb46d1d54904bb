"""The teacher is never asked: the student learns from the labels alone.

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
    optimizer = torch.optim.SGD(student.parameters(), lr=lr, momentum=0.9)
    for _ in range(epochs):
        for images, targets in loader:
            optimizer.zero_grad()
            F.cross_entropy(student(images), targets).backward()
            optimizer.step()
    return student
