"""The front is joined by straight lines: what lies between two points is dominated by neither.

Source: own.
"""

def hypervolume(points, reference):
    worst_cost, worst = reference
    front, best = [], worst
    for cost, accuracy in sorted(points):
        if cost < worst_cost and accuracy > best:
            front.append((cost, accuracy))
            best = accuracy
    if not front:
        return 0.0
    area = (worst_cost - front[-1][0]) * (front[-1][1] - worst)
    for (c, a), (d, b) in zip(front, front[1:]):
        area += (d - c) * ((a + b) / 2 - worst)
    return area
