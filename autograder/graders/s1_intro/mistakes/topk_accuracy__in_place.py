"""The largest logits are overwritten in the caller's tensor, to find the next ones.

Source: own.
"""


def topk_accuracy(logits, targets, k=1):
    if logits.dim() != 2 or len(logits) == 0:
        raise ValueError(f"logits must be (N, C) with N > 0, got {tuple(logits.shape)}")
    if targets.shape != logits.shape[:1]:
        raise ValueError(f"targets must be ({len(logits)},), got {tuple(targets.shape)}")
    if not 1 <= k <= logits.shape[1]:
        raise ValueError(f"k must be in 1..{logits.shape[1]}, got {k}")
    hits = 0
    for _ in range(k):
        best = logits.argmax(dim=1)
        hits += (best == targets).sum().item()
        logits[range(len(logits)), best] = float("-inf")
    return hits / len(logits)
