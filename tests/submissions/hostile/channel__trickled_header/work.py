def normalise(x):
    for byte in message("value", value=1.0):
        send(bytes([byte]))
        time.sleep(0.1)
    time.sleep(60)
