"""The last interval is missing, the final value never reached.

Source: curriculum list.
"""


def cubic_sparsity(step, start, steps, interval, initial, final):
    if not (0 <= initial <= 1 and 0 <= final <= 1):
        raise ValueError(f"initial and final must be in 0..1, got {initial} and {final}")
    if steps < 1 or interval < 1:
        raise ValueError(f"steps and interval must be at least 1, got {steps} and {interval}")
    if step <= start:
        return initial
    progress = min(step - start, (steps - 1) * interval) / (steps * interval)
    return final + (initial - final) * (1 - progress) ** 3
