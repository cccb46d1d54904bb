"""Only the largest rectangle counts.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, worst_accuracy = reference
    areas = [max(worst_cost - c, 0.0) * max(a - worst_accuracy, 0.0) for c, a in points]
    return float(max(areas, default=0.0))
