import fcntl

FILE = None


def normalise(x):
    global FILE
    FILE = open("@LIBRARY@/torch/version.py")
    fcntl.flock(FILE, fcntl.LOCK_EX)
    return x
