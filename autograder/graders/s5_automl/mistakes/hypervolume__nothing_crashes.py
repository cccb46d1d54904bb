"""No points at all raise an error, where the area is 0.

Source: own.
"""

def hypervolume(points, reference):
    best_first = sorted(points)
    worst_cost, best = reference
    area, first = 0.0, best_first[0]
    for cost, accuracy in best_first:
        if cost < worst_cost and accuracy > best:
            area += (worst_cost - cost) * (accuracy - best)
            best = accuracy
    return area
