def normalise(x):
    send(pack({"op": "value", "id": worker()._current, "buffers": [10**7]}, announced=10**7))
    while True:
        send(bytes(1000))
        time.sleep(0.01)
