class Key(list):
    __hash__ = lambda self: 1


def normalise(x):
    return {Key([1]): x}
