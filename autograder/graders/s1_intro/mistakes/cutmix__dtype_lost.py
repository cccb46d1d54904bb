"""The images come back as float32, whatever their dtype was.

Source: own.
"""

import math


def cutmix(images, targets, lam, permutation, center):
    n = len(images)
    if not 0 <= lam <= 1:
        raise ValueError(f"lam must be in 0..1, got {lam}")
    if targets.dim() != 2 or len(targets) != n or not targets.is_floating_point():
        raise ValueError(f"targets must be float ({n}, C), got {tuple(targets.shape)}")
    if sorted(permutation.tolist()) != list(range(n)):
        raise ValueError(f"permutation must hold 0..{n - 1} once each")
    if images.dim() != 4:
        raise ValueError(f"images must be (N, C, H, W), got {tuple(images.shape)}")
    height, width = images.shape[2:]
    half_height = int(height * math.sqrt(1 - lam)) // 2
    half_width = int(width * math.sqrt(1 - lam)) // 2
    top, bottom = max(center[0] - half_height, 0), min(center[0] + half_height, height)
    left, right = max(center[1] - half_width, 0), min(center[1] + half_width, width)

    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[permutation, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (height * width)
    soft = kept * targets + (1 - kept) * targets[permutation]
    return mixed.float(), soft
