def normalise(x):
    answer({"$": "tensor", "dtype": "__class__", "shape": [1], "b": 0}, bytes(4))
