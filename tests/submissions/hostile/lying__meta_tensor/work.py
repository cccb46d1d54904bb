def normalise(x):
    return x.to("meta")
