def normalise(x):
    loop = []
    loop.append(loop)
    return loop
