"""The area is measured from 0, whatever the reference accuracy is.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, _ = reference
    best, area = 0.0, 0.0
    for cost, accuracy in sorted(points):
        if cost < worst_cost and accuracy > best:
            area += (worst_cost - cost) * (accuracy - best)
            best = accuracy
    return area
