"""A k above the number of classes is silently lowered.

Source: own.
"""


def topk_accuracy(logits, targets, k=1):
    if logits.dim() != 2 or len(logits) == 0:
        raise ValueError(f"logits must be (N, C) with N > 0, got {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be ({len(logits)},), got {tuple(targets.shape)}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    best = logits.topk(min(k, logits.shape[1]), dim=1).indices
    return (best == targets[:, None]).any(dim=1).sum().item() / len(logits)
