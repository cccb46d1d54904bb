"""A limit that was not measured counts as not kept; it is a mistake to be reported by ValueError.

Source: own.
"""

def satisfies(measured, limits):
    return all(name in measured and measured[name] <= limit for name, limit in limits.items())
