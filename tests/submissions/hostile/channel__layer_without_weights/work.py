def network(inputs, outputs):
    arguments = [["in_features", 2**24], ["out_features", 2**24]]
    answer({"$": "module", "id": 0, "kind": "Linear", "train": True, "args": {"$": "dict", "v": arguments}, "parameters": [], "buffers": []})
