def normalise(x):
    answer({"$": "handle", "v": "__class__", "type": "Tensor"})
