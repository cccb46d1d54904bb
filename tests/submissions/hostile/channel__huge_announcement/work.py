def normalise(x):
    send(pack({}, announced=2**63))
    time.sleep(60)
