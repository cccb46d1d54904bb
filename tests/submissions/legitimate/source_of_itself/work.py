import inspect


def normalise(x):
    assert "def normalise" in inspect.getsource(normalise)
    return (x - x.mean()) / x.std(unbiased=False)
