def normalise(x):
    prime = 2**61 - 1
    answer({"$": "dict", "v": [[prime * n, 0] for n in range(1, 8_000)]})
