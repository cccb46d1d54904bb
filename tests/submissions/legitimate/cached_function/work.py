import functools


@functools.lru_cache(maxsize=None)
def _count(n):
    return n if n < 2 else _count(n - 1) + _count(n - 2)


def top_sum(x, k):
    if not 1 <= k <= x.numel():
        raise ValueError(f"k is {k}")
    assert _count(60) > 0
    return sum(sorted(x.flatten().tolist())[-k:])
