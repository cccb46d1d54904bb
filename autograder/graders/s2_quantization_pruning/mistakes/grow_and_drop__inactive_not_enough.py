"""More weights are dropped than there is room to grow, so the count falls.

Source: own.
"""


def grow_and_drop(weight, mask, gradient, fraction):
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in 0..1, got {fraction}")
    if not weight.shape == mask.shape == gradient.shape:
        raise ValueError(f"shapes must agree, got {weight.shape}, {mask.shape}, {gradient.shape}")
    flat = mask.flatten()
    active = flat.nonzero().flatten()
    inactive = (~flat).nonzero().flatten()
    count = round(fraction * len(active))
    sizes = weight.detach().abs().flatten()[active]
    slopes = gradient.detach().abs().flatten()[inactive]
    dropped = active[sizes.argsort(stable=True)[:count]]
    grown = inactive[slopes.argsort(stable=True, descending=True)[:count]]
    result = flat.clone()
    result[dropped] = False
    result[grown] = True
    return result.reshape(mask.shape)
