def normalise(x):
    answer({"$": "array", "dtype": "(b,", "shape": [4], "b": 0}, bytes(4))
