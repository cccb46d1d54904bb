def normalise(x):
    import autograder.graders

    return x
