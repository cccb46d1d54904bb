def network(inputs, outputs):
    child = ["0", {"$": "same", "id": 0}]
    answer({"$": "module", "id": 0, "kind": "Sequential", "train": True, "children": [child], "parameters": [], "buffers": []})
