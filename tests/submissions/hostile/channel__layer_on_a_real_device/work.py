def network(inputs, outputs):
    arguments = [["in_features", 2**24], ["out_features", 2**9], ["device", "cpu"]]
    answer({"$": "module", "id": 0, "kind": "Linear", "train": True, "args": {"$": "dict", "v": arguments}, "parameters": [], "buffers": []})
