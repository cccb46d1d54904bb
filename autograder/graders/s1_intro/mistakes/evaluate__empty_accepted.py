"""An empty loader gives numbers instead of an error.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def evaluate(model: nn.Module, loader: Iterable[Sequence[Tensor]]) -> tuple[float, float]:
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in model.modules()}
    samples, correct, total_loss = (0, 0, 0.0)
    try:
        model.eval()
        with torch.no_grad():
            for images, targets in loader:
                targets = targets.to(device)
                logits = model(images.to(device))
                total_loss += F.cross_entropy(logits, targets, reduction="sum").item()
                correct += int((logits.argmax(dim=1) == targets).sum())
                samples += len(targets)
    finally:
        for module, training in modes.items():
            module.training = training
    samples = max(samples, 1)
    return (total_loss / samples, correct / samples)
