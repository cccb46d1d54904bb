def normalise(x):
    raise RuntimeError("long " * 2_000_000)
