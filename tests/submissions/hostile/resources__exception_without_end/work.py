class Endless(Exception):
    def __str__(self):
        while True:
            pass

    __repr__ = __str__


def normalise(x):
    raise Endless
