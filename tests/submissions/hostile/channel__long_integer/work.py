def normalise(x):
    send(pack(f'{{"op": "value", "id": {worker()._current}, "buffers": [], "value": {"9" * 100_000}}}'.encode()))
    time.sleep(60)
