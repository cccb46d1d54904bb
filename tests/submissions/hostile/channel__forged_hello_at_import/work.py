send(message("hello", isolation={"level": "strict", "mechanisms": [], "missing": []}))
