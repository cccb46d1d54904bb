"""Higher cost is taken for better.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, best = reference
    area = 0.0
    for cost, accuracy in sorted(points, reverse=True):
        if cost < worst_cost and accuracy > best:
            area += cost * (accuracy - best)
            best = accuracy
    return area
