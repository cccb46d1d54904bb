import logging


def normalise(x):
    logging.basicConfig(level=logging.INFO)
    for n in range(300):
        print("step", n, float(x.mean()))
    logging.info("done")
    return (x - x.mean()) / x.std(unbiased=False)
