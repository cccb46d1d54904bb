"""What is left out is compared with the share, not what is kept.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    values = singular_values.double() / singular_values.double().max()
    left = values.square().flip(0).cumsum(0).flip(0)
    return max(int((left > energy * left[0]).sum()), 1)
