import atexit
import os
import sys


def _late():
    print("@ESCAPED@")
    open("@OUTSIDE@/late", "w").close()


atexit.register(_late)
sys.excepthook = sys.unraisablehook = lambda *args: _late()


class _OnDeath:
    def __del__(self):
        _late()


KEPT = _OnDeath()


def normalise(x):
    return x
