"""The caller's state is pruned in place.

Source: own.
"""

import torch


def stage_report(state, sparsity, bits):
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in 0..1, got {sparsity!r}")
    if type(bits) is not int or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    dense = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    pruned = quantised = 0
    for tensor in state.values():
        size = tensor.element_size()
        if not tensor.is_floating_point() or tensor.dim() < 2 or not tensor.numel():
            pruned += tensor.numel() * size
            quantised += tensor.numel() * size
            continue
        values = tensor.detach().double().flatten()
        order = values.abs().sort(stable=True).indices
        places = order[round(sparsity * len(values)) :]
        tensor.detach().view(-1)[order[: round(sparsity * len(values))]] = 0
        places = places[values[places] != 0].sort().values
        gaps = places.diff(prepend=torch.tensor([-1])) - 1
        index_bits = min(int((gaps // (2**w - 1) + 1).sum()) * w for w in range(1, 33))
        levels = min(2**bits, len(values[places].unique()))
        label_bits = max(levels - 1, 0).bit_length()
        pruned += len(places) * size + (index_bits + 7) // 8
        quantised += (len(places) * label_bits + index_bits + 7) // 8 + levels * size
    huffman = len(compress(state, sparsity, bits))
    stages = {"dense": dense, "pruned": pruned, "quantised": quantised, "huffman": huffman}
    return stages
