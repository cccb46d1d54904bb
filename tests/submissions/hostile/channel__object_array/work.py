def normalise(x):
    answer({"$": "array", "dtype": "|O", "shape": [4, 5], "b": 0}, bytes(160))
