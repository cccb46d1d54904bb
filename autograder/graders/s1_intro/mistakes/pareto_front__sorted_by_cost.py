"""The indices come in the order of rising cost.

Source: own.
"""


def pareto_front(points):
    def dominates(other, point):
        no_worse = other[0] <= point[0] and other[1] >= point[1]
        return no_worse and (other[0] < point[0] or other[1] > point[1])

    front = [
        index
        for index, point in enumerate(points)
        if not any(dominates(other, point) for other in points)
    ]
    return sorted(front, key=lambda index: points[index])
