import random

import numpy as np
import torch


def normalise(x):
    torch.manual_seed(1)
    assert torch.rand(3, generator=torch.Generator().manual_seed(3)).numel() == 3
    assert random.Random(3).random() < 1 > np.random.default_rng(3).random()
    return (x - x.mean()) / x.std(unbiased=False)
