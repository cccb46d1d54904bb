"""An empty batch gives 0 instead of an error.

Source: own.
"""


def topk_accuracy(logits, targets, k=1):
    if logits.dim() != 2:
        raise ValueError(f"logits must be (N, C), got {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be ({len(logits)},), got {tuple(targets.shape)}")
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"k must be in 1..{logits.shape[1]}, got {k}")
    best = logits.topk(k, dim=1).indices
    return (best == targets[:, None]).any(dim=1).sum().item() / max(len(logits), 1)
