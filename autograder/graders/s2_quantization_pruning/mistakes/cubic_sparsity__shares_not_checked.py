"""Sparsities outside 0..1 are accepted.

Source: own.
"""


def cubic_sparsity(step, start, steps, interval, initial, final):
    if steps < 1 or interval < 1:
        raise ValueError(f"steps and interval must be at least 1, got {steps} and {interval}")
    if step <= start:
        return initial
    if step >= start + steps * interval:
        return final
    progress = (step - start) / (steps * interval)
    return final + (initial - final) * (1 - progress) ** 3
