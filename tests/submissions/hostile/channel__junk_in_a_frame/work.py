def normalise(x):
    send(pack(b"{not json"))
    time.sleep(60)
