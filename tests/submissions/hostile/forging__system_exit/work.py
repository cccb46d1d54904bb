import sys


def normalise(x):
    sys.exit(0)
