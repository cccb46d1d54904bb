import numpy as np

class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


def normalise(x):
    return np.array([[Evil()]], dtype=object)
