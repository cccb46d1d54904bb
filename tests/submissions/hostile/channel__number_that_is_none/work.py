def normalise(x):
    send(pack(f'{{"op": "value", "id": {worker()._current}, "buffers": [], "value": NaN}}'.encode()))
    time.sleep(60)
