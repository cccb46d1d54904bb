"""The share has to be exceeded, where it is enough to be reached.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    values = singular_values.double() / singular_values.double().max()
    held = values.square().cumsum(0)
    return 1 + int((held[:-1] <= energy * held[-1]).sum())
