def normalise(x):
    send(message("hello", isolation={"level": "strict", "mechanisms": ["everything"], "missing": []}))
    return x
