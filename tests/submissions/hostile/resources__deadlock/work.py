import threading


def normalise(x):
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
