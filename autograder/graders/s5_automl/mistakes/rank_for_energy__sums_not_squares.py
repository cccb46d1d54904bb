"""The share is one of the sum of the singular values, not of their squares.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    held = singular_values.double().cumsum(0)
    return 1 + int((held[:-1] < energy * held[-1]).sum())
