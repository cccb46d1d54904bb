"""Values are counted whose square is at least 1 - energy of the largest one's.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    squares = (singular_values.double() / singular_values.double().max()).square()
    return int((squares >= 1 - energy).sum())
