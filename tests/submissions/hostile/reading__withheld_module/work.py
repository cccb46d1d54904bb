import sys

import shared


def normalise(x):
    sys.meta_path[:] = [each for each in sys.meta_path if type(each).__name__ != "Withheld"]
    import shared.profiling

    print("@ESCAPED@", shared.profiling)
    return x
