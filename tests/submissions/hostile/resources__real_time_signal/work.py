import os


def normalise(x):
    os.kill(os.getpid(), 40)
