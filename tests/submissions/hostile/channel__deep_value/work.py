def normalise(x):
    node = 1
    for _ in range(200):
        node = [node]
    answer(node)
