class SizeError(ValueError):
    pass


def normalise(x):
    try:
        raise SizeError
    except ValueError:
        pass
    return (x - x.mean()) / x.std(unbiased=False)
