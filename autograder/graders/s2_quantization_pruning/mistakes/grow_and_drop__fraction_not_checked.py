"""A fraction outside 0..1 is clamped without a word.

Source: own.
"""


def grow_and_drop(weight, mask, gradient, fraction):
    fraction = min(max(fraction, 0.0), 1.0)
    if not weight.shape == mask.shape == gradient.shape:
        raise ValueError(f"shapes must agree, got {weight.shape}, {mask.shape}, {gradient.shape}")
    flat = mask.flatten()
    active = flat.nonzero().flatten()
    inactive = (~flat).nonzero().flatten()
    count = min(round(fraction * len(active)), len(inactive))
    sizes = weight.detach().abs().flatten()[active]
    slopes = gradient.detach().abs().flatten()[inactive]
    dropped = active[sizes.argsort(stable=True)[:count]]
    grown = inactive[slopes.argsort(stable=True, descending=True)[:count]]
    result = flat.clone()
    result[dropped] = False
    result[grown] = True
    return result.reshape(mask.shape)
