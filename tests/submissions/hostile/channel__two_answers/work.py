def normalise(x):
    send(message("value", value=None))
    return x
