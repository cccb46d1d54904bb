def normalise(x):
    answer([{"$": "ref", "v": "r1"}, {"$": "callback", "v": 0}, {"$": "function", "v": "os.system"}])
