"""The ramp takes n steps instead of n intervals.

Source: own.
"""


def cubic_sparsity(step, start, steps, interval, initial, final):
    if not (0 <= initial <= 1 and 0 <= final <= 1):
        raise ValueError(f"initial and final must be in 0..1, got {initial} and {final}")
    if steps < 1 or interval < 1:
        raise ValueError(f"steps and interval must be at least 1, got {steps} and {interval}")
    if step <= start:
        return initial
    if step >= start + steps:
        return final
    progress = (step - start) / steps
    return final + (initial - final) * (1 - progress) ** 3
