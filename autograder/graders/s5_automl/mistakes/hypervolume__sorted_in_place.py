"""The caller's list of points is sorted in place.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, best = reference
    area = 0.0
    points.sort()
    for cost, accuracy in points:
        if cost < worst_cost and accuracy > best:
            area += (worst_cost - cost) * (accuracy - best)
            best = accuracy
    return area
