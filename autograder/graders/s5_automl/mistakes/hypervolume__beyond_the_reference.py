"""Points that are worse than the reference take area away.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, best = reference
    area = 0.0
    for cost, accuracy in sorted(points):
        if accuracy > best or not area:
            area += (worst_cost - cost) * (accuracy - best)
            best = max(best, accuracy)
    return area
