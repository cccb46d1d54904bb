"""The points are taken in the order in which they come.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, best = reference
    area = 0.0
    for cost, accuracy in points:
        if cost < worst_cost and accuracy > best:
            area += (worst_cost - cost) * (accuracy - best)
            best = accuracy
    return area
