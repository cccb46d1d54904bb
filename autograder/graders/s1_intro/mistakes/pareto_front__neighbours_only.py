"""A point is compared only with the next cheaper one.

Source: own.
"""


def pareto_front(points):
    def dominates(other, point):
        no_worse = other[0] <= point[0] and other[1] >= point[1]
        return no_worse and (other[0] < point[0] or other[1] > point[1])

    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    front = order[:1]
    for cheaper, index in zip(order, order[1:]):
        if not dominates(points[cheaper], points[index]):
            front.append(index)
    return sorted(front)
