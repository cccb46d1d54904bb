import torch


def normalise(x):
    big = torch.ones(200 << 18)
    assert float(big[0]) == 1.0
    del big
    return (x - x.mean()) / x.std(unbiased=False)
