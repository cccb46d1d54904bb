"""A point stays unless another is better in both, so losing ties stay.

Source: own.
"""


def pareto_front(points):
    def dominates(other, point):
        return other[0] < point[0] and other[1] > point[1]

    return [
        index
        for index, point in enumerate(points)
        if not any(dominates(other, point) for other in points)
    ]
