class SizeError(ValueError):
    pass


right = top_sum


def top_sum(x, k):
    if k < 1:
        raise SizeError("k is too small")
    return right(x, k)
