class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


def encode(x):
    import pickle

    return pickle.dumps(Evil())


def decode(data):
    return data
