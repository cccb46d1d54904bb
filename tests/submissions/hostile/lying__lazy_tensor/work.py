import torch


def normalise(x):
    return torch.sparse_coo_tensor(size=(4, 5))


def decode(data):
    return torch.quantize_per_tensor(torch.zeros(8, 8), 1.0, 0, torch.qint8)
