"""Shapes with minimum > optimum or optimum > maximum are accepted.

Source: curriculum list.
"""

def optimization_profile(
    minimum: Shape, optimum: Shape, maximum: Shape, name: str = "input"
) -> Profile:
    for which, shape in (("minimum", minimum), ("optimum", optimum), ("maximum", maximum)):
        if len(shape) != len(minimum):
            raise refuse(which, f"{len(minimum)} dimensions, as in minimum", tuple(shape))
        for extent in shape:
            check_int(which, extent, 1)
    return Profile(name, tuple(minimum), tuple(optimum), tuple(maximum))
