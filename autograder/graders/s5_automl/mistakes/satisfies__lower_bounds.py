"""Limits are taken for lower bounds.

Source: own.
"""

def satisfies(measured, limits):
    if not set(limits) <= set(measured):
        raise ValueError(f"limits: {set(limits) - set(measured)} not measured")
    return all(measured[name] >= limit for name, limit in limits.items())
