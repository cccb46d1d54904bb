import torch
from torch import nn


def network(inputs, outputs):
    layer = nn.Linear(1, 1)
    widen = nn.Upsample(size=2_000)
    return nn.Sequential(nn.Unflatten(0, (-1, 1)), widen, *[widen] * 6_000, layer)
