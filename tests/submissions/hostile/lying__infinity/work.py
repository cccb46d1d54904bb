def normalise(x):
    return x * float("inf")


def top_sum(x, k):
    if k < 1:
        raise ValueError
    return float("inf")
