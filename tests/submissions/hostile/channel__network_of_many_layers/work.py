def network(inputs, outputs):
    arguments = [["blocks", [600]], ["widths", [1]]]
    answer({"$": "module", "id": 0, "kind": "ResNet", "train": True, "args": {"$": "dict", "v": arguments}, "children": [], "parameters": [], "buffers": []})
