"""Weights are dropped by value, not by magnitude.

Source: curriculum list.
"""


def grow_and_drop(weight, mask, gradient, fraction):
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in 0..1, got {fraction}")
    if not weight.shape == mask.shape == gradient.shape:
        raise ValueError(f"shapes must agree, got {weight.shape}, {mask.shape}, {gradient.shape}")
    flat = mask.flatten()
    active = flat.nonzero().flatten()
    inactive = (~flat).nonzero().flatten()
    count = min(round(fraction * len(active)), len(inactive))
    sizes = weight.detach().flatten()[active]
    slopes = gradient.detach().abs().flatten()[inactive]
    dropped = active[sizes.argsort(stable=True)[:count]]
    grown = inactive[slopes.argsort(stable=True, descending=True)[:count]]
    result = flat.clone()
    result[dropped] = False
    result[grown] = True
    return result.reshape(mask.shape)
