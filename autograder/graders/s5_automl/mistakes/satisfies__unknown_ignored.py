"""A limit that was not measured, such as a misspelt one, is ignored.

Source: curriculum list.
"""

def satisfies(measured, limits):
    return all(measured[name] <= limit for name, limit in limits.items() if name in measured)
