def normalise(x):
    answer({"$": "tensor", "dtype": "float32", "shape": [-4, -5], "b": 0}, bytes(80))
