"""An unknown limit behind one that is not kept is not noticed.

Source: fine print.
"""

def satisfies(measured, limits):
    for name, limit in limits.items():
        if name not in measured:
            raise ValueError(f"limits: {name} was not measured")
        if not measured[name] <= limit:
            return False
    return True
