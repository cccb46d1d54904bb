"""An interval of 0 is accepted.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def cubic_sparsity(
    step: int, start: int, steps: int, interval: int, initial: float, final: float
) -> float:
    check_int("steps", steps, 1)
    interval = max(interval, 1)
    check_fraction("initial", initial)
    check_fraction("final", final)
    if step <= start:
        return initial
    left = max(1 - (step - start) / (steps * interval), 0.0)
    return final + (initial - final) * left**3
