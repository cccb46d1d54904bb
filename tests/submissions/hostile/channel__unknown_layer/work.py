def normalise(x):
    answer({"$": "module", "id": 0, "kind": "DataParallel", "args": {"$": "dict", "v": []}, "parameters": [], "buffers": []})
