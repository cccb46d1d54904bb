"""Shapes of unequal ranks are accepted, the longer ones cut off.

Source: curriculum list.
"""

def optimization_profile(
    minimum: Shape, optimum: Shape, maximum: Shape, name: str = "input"
) -> Profile:
    for which, shape in (("minimum", minimum), ("optimum", optimum), ("maximum", maximum)):
        for extent in shape:
            check_int(which, extent, 1)
    for low, middle, high in zip(minimum, optimum, maximum):
        if not low <= middle <= high:
            raise ValueError(
                "optimum: expected minimum <= optimum <= maximum in each dimension, got "
                f"{tuple(minimum)}, {tuple(optimum)}, {tuple(maximum)}"
            )
    return Profile(name, tuple(minimum), tuple(optimum), tuple(maximum))
