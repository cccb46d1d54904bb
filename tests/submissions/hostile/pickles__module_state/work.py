class Evil:
    def __reduce__(self):
        return (open, ("@OUTSIDE@/unpickled", "w"))


class Net(nn.Module):
    __reduce__ = __reduce_ex__ = __deepcopy__ = lambda self, *args: (open, ("@OUTSIDE@/unpickled", "w"))

    def __getstate__(self):
        return Evil()


def network(inputs, outputs):
    return Net()
