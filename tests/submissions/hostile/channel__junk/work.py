def normalise(x):
    send(b"\0junk" * 100)
    return x
