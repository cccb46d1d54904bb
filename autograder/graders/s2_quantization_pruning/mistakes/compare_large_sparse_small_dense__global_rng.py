"""The global random generator is seeded and used.

Source: own.
"""

import torch
from shared.data import load_digits
from torch import nn
from torch.nn.functional import cross_entropy


def compare_large_sparse_small_dense(large=64, small=(8, 16), epochs=10, seed=0):
    if not small or not all(1 <= width < large for width in small):
        raise ValueError(f"small must hold widths below {large}, got {small}")
    digits = load_digits().normalised()

    def train(width, kept):
        torch.manual_seed(seed)
        layers = nn.Linear(64, width, bias=False), nn.Linear(width, 10, bias=False)
        model = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1])
        weights = [layer.weight for layer in layers]
        total = sum(weight.numel() for weight in weights)
        optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
        generator = torch.Generator().manual_seed(seed)
        for epoch in range(epochs):
            left = 1 - min(1, (epoch + 1) / max(1, epochs - 3))
            sparsity = (1 - kept / total) * (1 - left**3)
            magnitudes = torch.cat([weight.detach().abs().flatten() for weight in weights])
            keep = torch.ones_like(magnitudes, dtype=torch.bool)
            keep[magnitudes.argsort()[: round(sparsity * total)]] = False
            parts = keep.split([weight.numel() for weight in weights])
            masks = [part.reshape(weight.shape) for part, weight in zip(parts, weights)]
            order = torch.randperm(len(digits.train), generator=generator)
            for batch in order.split(64):
                logits = model(digits.train.images[batch])
                optimizer.zero_grad()
                cross_entropy(logits, digits.train.labels[batch]).backward()
                optimizer.step()
                with torch.no_grad():
                    for weight, mask in zip(weights, masks):
                        weight.masked_fill_(~mask, 0)
        return model, weights

    def row(name, model, weights):
        with torch.no_grad():
            correct = model(digits.test.images).argmax(1) == digits.test.labels
        params = sum(weight.numel() for weight in weights)
        nonzeros = sum(int(weight.count_nonzero()) for weight in weights)
        return {
            "name": name,
            "params": params,
            "nonzeros": nonzeros,
            "sparsity": 1 - nonzeros / params,
            "accuracy": float(correct.float().mean()),
        }

    rows = []
    for width in small:
        budget = 64 * width + width * 10
        rows.append(row(f"small dense {width}", *train(width, budget)))
        rows.append(row(f"large sparse {large} like {width}", *train(large, budget)))
    return rows
