def normalise(x):
    return x * float("nan")


def top_sum(x, k):
    if k < 1:
        raise ValueError
    return float("nan")
