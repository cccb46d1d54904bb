import torch


def normalise(x):
    torch.set_num_threads(2)
    a = torch.ones(300, 300)
    assert float((a @ a)[0, 0]) == 300.0
    return (x - x.mean()) / x.std(unbiased=False)
