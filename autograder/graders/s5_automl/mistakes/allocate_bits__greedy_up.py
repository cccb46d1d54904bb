"""Bits are added step by step where the next step saves most loss for each bit, which is not
always best.

Source: own.
"""

def allocate_bits(sensitivity, sizes, budget_bits):
    if sensitivity.keys() != sizes.keys() or not all(sensitivity.values()):
        raise ValueError("layers and sizes do not fit")
    if sum(sizes[name] * min(each) for name, each in sensitivity.items()) > budget_bits:
        raise ValueError(f"budget_bits: too small, {budget_bits}")

    chosen = {name: min(each) for name, each in sensitivity.items()}
    while True:
        left = budget_bits - sum(sizes[name] * bits for name, bits in chosen.items())
        steps = []
        for name, bits in chosen.items():
            more = [b for b in sorted(sensitivity[name]) if b > bits]
            if more:
                cost = sizes[name] * (more[0] - bits)
                gain = sensitivity[name][bits] - sensitivity[name][more[0]]
                if gain > 0 and cost <= left:
                    steps.append((gain / cost, name, more[0]))
        if not steps:
            return chosen
        _, name, bits = max(steps)
        chosen[name] = bits
