import gc

import shared


def normalise(x):
    if hasattr(shared, "profiling"):
        print("@ESCAPED@")
    for thing in gc.get_objects():
        try:
            place = getattr(thing, "__module__", "")
        except Exception:
            continue
        if place == "shared.profiling":
            print("@ESCAPED@", thing)
    return x
