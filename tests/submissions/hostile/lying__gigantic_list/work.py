def normalise(x):
    return list(range(2_000_000))
