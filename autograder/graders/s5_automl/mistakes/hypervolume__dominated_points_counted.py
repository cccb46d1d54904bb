"""Dominated points are part of the staircase and are counted, too.

Source: curriculum list.
"""

def hypervolume(points, reference):
    worst_cost, worst_accuracy = reference
    inside = sorted(p for p in points if p[0] < worst_cost and p[1] > worst_accuracy)
    area = 0.0
    for (cost, accuracy), following in zip(inside, [*inside[1:], (worst_cost, 0.0)]):
        area += (following[0] - cost) * (accuracy - worst_accuracy)
    return area
