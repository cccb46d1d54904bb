def normalise(x):
    send(pack(b"[" * 100_000))
    time.sleep(60)
