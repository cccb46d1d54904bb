import ctypes
import os
import sys

MARK = []


def normalise(x):
    os.environ["QUAIL"] = "1"
    MARK.append(1)
    sys.quail = 1
    ctypes.CDLL(None).prctl(15, b"quail", 0, 0, 0)
    return x


def encode(x):
    if MARK or "QUAIL" in os.environ or hasattr(sys, "quail") or b"quail" in open("/proc/self/stat", "rb").read():
        print("@ESCAPED@")
    return b""
