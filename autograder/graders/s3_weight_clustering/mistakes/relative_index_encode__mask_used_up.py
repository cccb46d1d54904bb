"""The caller's mask is emptied while it is coded.

Source: own.
"""

import torch


def relative_index_encode(mask, bits):
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    filler = 2**bits - 1
    gaps, last, left = [], -1, mask.view(-1)
    while left.any():
        place = int(left.nonzero()[0])
        left[place] = False
        zeros = place - last - 1
        gaps += [filler] * (zeros // filler) + [zeros % filler]
        last = place
    return torch.tensor(gaps, dtype=torch.int64)


def relative_index_decode(gaps, n, bits):
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    if type(n) is not int or n < 0:
        raise ValueError(f"n must be an integer of at least 0, got {n!r}")
    filler = 2**bits - 1
    mask = torch.zeros(n, dtype=torch.bool)
    place = 0
    for gap in gaps.tolist():
        if not 0 <= gap <= filler:
            raise ValueError(f"gaps must be in 0..{filler}, got {gap}")
        place += gap
        if gap == filler:
            continue
        if place >= n:
            raise ValueError(f"gaps go beyond {n} elements")
        mask[place] = True
        place += 1
    return mask
