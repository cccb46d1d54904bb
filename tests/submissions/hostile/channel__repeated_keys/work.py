def normalise(x):
    text = f'{{"op": "value", "id": {worker()._current}, "buffers": [], "value": 1, "value": 2}}'
    send(pack(text.encode()))
    time.sleep(60)
