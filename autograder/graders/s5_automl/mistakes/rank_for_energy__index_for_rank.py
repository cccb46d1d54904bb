"""The index of the last value that is needed is returned; the rank is one more.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    values = singular_values.double() / singular_values.double().max()
    held = values.square().cumsum(0)
    return int((held[:-1] < energy * held[-1]).sum())
