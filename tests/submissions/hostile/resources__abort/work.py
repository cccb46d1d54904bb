import os


def normalise(x):
    os.abort()
