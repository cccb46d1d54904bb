def _parts(x):
    for row in x:
        yield from row.tolist()


def top_sum(x, k):
    if k not in range(1, x.numel() + 1):
        raise ValueError
    return sum(sorted(_parts(x), reverse=True)[:k])
