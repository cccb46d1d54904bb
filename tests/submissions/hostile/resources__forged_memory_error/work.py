def normalise(x):
    raise MemoryError
