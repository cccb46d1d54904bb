def normalise(x):
    send(pack({"op": "value", "id": 7, "buffers": [], "value": 1.0}))
    return x
