"""Validation runs in training mode, so batch norm learns from the validation set.

Source: own.
"""

import torch
from shared.records import History
from torch.nn.functional import cross_entropy


def fit(model, train_loader, val_loader, epochs, peak=0.01):
    if epochs < 1 or len(train_loader) == 0 or len(val_loader) == 0:
        raise ValueError(f"need at least one epoch and one batch, got {epochs} epochs")
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, epochs=epochs, steps_per_epoch=len(train_loader)
    )
    train_loss, val_loss, val_accuracy = [], [], []
    for _ in range(epochs):
        model.train()
        total, samples = 0.0, 0
        for inputs, targets in train_loader:
            loss = cross_entropy(model(inputs), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(targets)
            samples += len(targets)
        train_loss.append(total / samples)

        total, correct, samples = 0.0, 0, 0
        with torch.no_grad():
            for inputs, targets in val_loader:
                logits = model(inputs)
                total += cross_entropy(logits, targets, reduction="sum").item()
                correct += (logits.argmax(dim=1) == targets).sum().item()
                samples += len(targets)
        val_loss.append(total / samples)
        val_accuracy.append(correct / samples)
    return History(train_loss, val_loss, val_accuracy)
