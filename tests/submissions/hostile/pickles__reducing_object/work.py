class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


def normalise(x):
    return Evil()
