import time


def normalise(x):
    time.sleep(1_000_000)
