import torch


def normalise(x):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        a = torch.ones(300, 300)
        assert float((a @ a)[0, 0]) == 300.0
    finally:
        torch.set_num_threads(before)  # what is global stays as it was
    return (x - x.mean()) / x.std(unbiased=False)
