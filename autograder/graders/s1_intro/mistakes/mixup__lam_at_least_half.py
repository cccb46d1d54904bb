"""A lam below one half is silently replaced by 1 - lam.

Source: own.
"""


def mixup(images, targets, lam, permutation):
    n = len(images)
    if not 0 <= lam <= 1:
        raise ValueError(f"lam must be in 0..1, got {lam}")
    if targets.dim() != 2 or len(targets) != n or not targets.is_floating_point():
        raise ValueError(f"targets must be float ({n}, C), got {tuple(targets.shape)}")
    if sorted(permutation.tolist()) != list(range(n)):
        raise ValueError(f"permutation must hold 0..{n - 1} once each")
    lam = max(lam, 1 - lam)
    mixed = lam * images + (1 - lam) * images[permutation]
    soft = lam * targets + (1 - lam) * targets[permutation]
    return mixed, soft
