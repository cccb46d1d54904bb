import time


def normalise(x):
    time.sleep(0.1)
    return (x - x.mean()) / x.std(unbiased=False)
