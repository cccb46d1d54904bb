import torch


def normalise(x):
    y = (x - x.mean()) / x.std(unbiased=False)
    return torch.complex(y, torch.full_like(y, 5.0))
