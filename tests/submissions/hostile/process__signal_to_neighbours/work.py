import ctypes
import os
import signal


def normalise(x):
    libc = ctypes.CDLL(None)
    for pid in range(max(os.getpid() - 200, 2), os.getpid() + 50):
        if pid == os.getpid():
            continue
        try:
            os.kill(pid, 0)
            print("@ESCAPED@", pid)
        except OSError:
            pass
        if libc.syscall(234, pid, pid, 0) == 0 or libc.syscall(200, pid, 0) == 0:
            print("@ESCAPED@", pid)
    return x
