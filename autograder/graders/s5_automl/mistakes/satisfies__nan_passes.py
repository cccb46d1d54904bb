"""NaN is not above a limit, and passes.

Source: fine print.
"""

def satisfies(measured, limits):
    if not set(limits) <= set(measured):
        raise ValueError(f"limits: {set(limits) - set(measured)} not measured")
    return not any(measured[name] > limit for name, limit in limits.items())
