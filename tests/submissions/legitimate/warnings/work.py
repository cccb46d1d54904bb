import warnings


def normalise(x):
    warnings.warn("the tensor is small", stacklevel=2)
    warnings.warn("old", DeprecationWarning, stacklevel=2)
    return (x - x.mean()) / x.std(unbiased=False)
