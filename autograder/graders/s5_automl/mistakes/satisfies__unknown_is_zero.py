"""A cost that was not measured counts as 0.

Source: curriculum list.
"""

def satisfies(measured, limits):
    return all(measured.get(name, 0) <= limit for name, limit in limits.items())
