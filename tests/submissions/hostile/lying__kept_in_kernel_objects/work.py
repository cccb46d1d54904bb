import ctypes

import torch

LIBC = ctypes.CDLL(None, use_errno=True)


def encode(x):
    for number in (LIBC.shmget(4711, 4096, 0o1666), LIBC.msgget(4711, 0o1666), LIBC.semget(4711, 1, 0o1666)):
        if number >= 0:
            print("@ESCAPED@", number)
    if LIBC.mq_open(b"/kept", 0o102, 0o666, None) >= 0:
        print("@ESCAPED@")
    return b""


def decode(data):
    return torch.zeros(8, 8)
