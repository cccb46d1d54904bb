"""One limit that is kept is enough.

Source: own.
"""

def satisfies(measured, limits):
    if not set(limits) <= set(measured):
        raise ValueError(f"limits: {set(limits) - set(measured)} not measured")
    return not limits or any(measured[name] <= limit for name, limit in limits.items())
