"""Identical points dominate each other, so none of them is kept.

Source: own.
"""


def pareto_front(points):
    def dominates(other, point):
        return other[0] <= point[0] and other[1] >= point[1]

    return [
        index
        for index, point in enumerate(points)
        if not any(dominates(other, point) for other in points[:index] + points[index + 1 :])
    ]
