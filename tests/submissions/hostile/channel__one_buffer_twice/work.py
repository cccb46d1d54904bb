def normalise(x):
    node = {"$": "tensor", "dtype": "float32", "shape": [4, 5], "b": 0}
    answer([node, node], bytes(80))
