"""A limit that was not measured raises KeyError.

Source: own.
"""

def satisfies(measured, limits):
    kept = [measured[name] <= limit for name, limit in limits.items()]
    return all(kept)
