"""From the best bits of each layer, those are lowered step by step that cost least, which is not
always best.

Source: own.
"""

def allocate_bits(sensitivity, sizes, budget_bits):
    if sensitivity.keys() != sizes.keys() or not all(sensitivity.values()):
        raise ValueError("layers and sizes do not fit")
    if sum(sizes[name] * min(each) for name, each in sensitivity.items()) > budget_bits:
        raise ValueError(f"budget_bits: too small, {budget_bits}")

    chosen = {
        name: min(each, key=lambda bits: (each[bits], bits)) for name, each in sensitivity.items()
    }
    while sum(sizes[name] * bits for name, bits in chosen.items()) > budget_bits:
        steps = []
        for name, bits in chosen.items():
            less = [b for b in sorted(sensitivity[name]) if b < bits]
            if less:
                saved = sizes[name] * (bits - less[-1])
                loss = sensitivity[name][less[-1]] - sensitivity[name][bits]
                steps.append((loss / saved, name, less[-1]))
        _, name, bits = min(steps)
        chosen[name] = bits
    return chosen
