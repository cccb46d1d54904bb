def normalise(x):
    return ((x - x.mean()) / x.std(unbiased=False)).double()
