"""All layers get the same bits.

Source: own.
"""

def allocate_bits(sensitivity, sizes, budget_bits):
    if sensitivity.keys() != sizes.keys() or not all(sensitivity.values()):
        raise ValueError("layers and sizes do not fit")
    if sum(sizes[name] * min(each) for name, each in sensitivity.items()) > budget_bits:
        raise ValueError(f"budget_bits: too small, {budget_bits}")

    common = sorted(set.intersection(*(set(each) for each in sensitivity.values())))
    fits = [b for b in common if b * sum(sizes.values()) <= budget_bits]
    if not fits:
        return {name: min(each) for name, each in sensitivity.items()}
    return dict.fromkeys(sensitivity, fits[-1])
