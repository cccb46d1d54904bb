from concurrent.futures import ThreadPoolExecutor


def normalise(x):
    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(abs, range(10))) == 45
    return (x - x.mean()) / x.std(unbiased=False)
