def normalise(x):
    error = KeyError("x" * 10_000_000)
    for _ in range(2_000):
        inner = KeyError("deep")
        inner.__context__ = error
        error = inner
    raise ExceptionGroup("group", [ExceptionGroup("group", [error]) for _ in range(200)])
