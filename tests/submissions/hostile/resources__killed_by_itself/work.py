import os
import signal


def normalise(x):
    os.kill(os.getpid(), signal.SIGKILL)
