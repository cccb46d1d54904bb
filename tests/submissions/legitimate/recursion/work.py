def _depth(n):
    return 0 if n == 0 else 1 + _depth(n - 1)


def normalise(x):
    assert _depth(500) == 500
    return (x - x.mean()) / x.std(unbiased=False)
