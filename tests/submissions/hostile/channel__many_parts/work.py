def normalise(x):
    answer([0] * 1_000_000)
