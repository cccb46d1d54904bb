def normalise(x):
    for sizes in ([10**9], [-1, 1], [True], "none", [0.5]):
        send(pack({"op": "value", "id": worker()._current, "buffers": sizes, "value": 1}))
    time.sleep(60)
