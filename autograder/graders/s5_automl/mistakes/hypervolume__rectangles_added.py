"""The rectangles of all points are added up, where they overlap as well.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, worst_accuracy = reference
    return float(sum(max(worst_cost - c, 0.0) * max(a - worst_accuracy, 0.0) for c, a in points))
