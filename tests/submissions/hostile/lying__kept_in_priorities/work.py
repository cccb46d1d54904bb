import os
import time

import torch


def encode(x):
    for change in (lambda: os.setpriority(os.PRIO_PROCESS, 0, 19), lambda: os.sched_setaffinity(0, {0})):
        try:
            change()
        except OSError:
            pass
    return os.getpid().to_bytes(4, "big")


def decode(data):
    pid = int.from_bytes(data, "big")
    for look in (os.sched_getaffinity, os.getsid, os.getpgid, lambda _: os.getpriority(os.PRIO_PROCESS, pid), lambda _: time.clock_gettime((~pid << 3) | 2)):
        try:
            print("@ESCAPED@", look(pid))
        except OSError:
            pass
    return torch.zeros(8, 8)
