"""A loader with one batch is refused.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def fit(model: nn.Module, train_loader: Batches, val_loader: Batches, epochs: int) -> History:
    from evaluation import evaluate

    check_int("epochs", epochs, 1)
    for name, loader in (("train_loader", train_loader), ("val_loader", val_loader)):
        if len(loader) <= 1:
            raise refuse(name, "at least one batch", len(loader))
    device = next(model.parameters()).device
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=0.01, weight_decay=0.05)
    schedule = OneCycleLR(optimizer, 0.01, epochs=epochs, steps_per_epoch=len(train_loader))

    def train_epoch() -> float:
        model.train()
        total, samples = (0.0, 0)
        for images, targets in train_loader:
            loss = F.cross_entropy(model(images.to(device)), targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(targets)
            samples += len(targets)
        return total / samples

    history = History()
    for _ in range(epochs):
        history.train_loss.append(train_epoch())
        loss, accuracy = evaluate(model, val_loader)
        history.val_loss.append(loss)
        history.val_accuracy.append(accuracy)
    return history
