"""The product is made in float32, which loses units above 2 ** 24.

Source: curriculum list.
"""

import torch


def linear_macs(in_features, out_features, tokens=1):
    if min(in_features, out_features, tokens) < 1:
        raise ValueError(f"sizes must be positive: {in_features}, {out_features}, {tokens}")
    sizes = torch.tensor([in_features, out_features, tokens], dtype=torch.float32)
    return int(sizes.prod())
