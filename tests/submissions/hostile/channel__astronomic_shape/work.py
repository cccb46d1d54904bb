def normalise(x):
    answer({"$": "tensor", "dtype": "float32", "shape": [0, 2**62, 2**62], "b": 0}, b"")
