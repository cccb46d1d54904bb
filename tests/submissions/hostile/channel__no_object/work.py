def normalise(x):
    send(pack(b"[]"))
    time.sleep(60)
