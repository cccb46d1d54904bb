class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


class Bomb(Exception, Evil):
    __reduce__ = Evil.__reduce__


def normalise(x):
    raise Bomb(Evil())
