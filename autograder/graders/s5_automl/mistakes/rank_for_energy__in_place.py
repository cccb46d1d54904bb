"""The caller's singular values are scaled in place.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    singular_values /= singular_values[0].clone()
    held = singular_values.double().square().cumsum(0)
    return 1 + int((held[:-1] < energy * held[-1]).sum())
