import ctypes


def normalise(x):
    print(ctypes.CDLL(None).mount(b"none", b"@SOLUTIONS@", b"tmpfs", 0, None))
    print("@ESCAPED@")
    return x
