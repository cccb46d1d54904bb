"""An energy outside 0..1 is accepted.

Source: own.
"""

import torch


def rank_for_energy(singular_values, energy):
    values = singular_values.double() / singular_values.double().max()
    held = values.square().cumsum(0)
    return 1 + int((held[:-1] < energy * held[-1]).sum())
