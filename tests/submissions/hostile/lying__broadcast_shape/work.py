import torch


def normalise(x):
    return torch.zeros(1, 1)


def decode(data):
    return torch.zeros(1)
