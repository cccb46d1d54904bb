"""The schedule gets the number of the pass and never ends.

Source: curriculum list.
"""

import copy

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def gradual_prune(
    model,
    loader,
    schedule,
    steps,
    loss_fn=cross_entropy,
    lr=0.05,
    momentum=0.9,
    weight_decay=0.0,
):
    def smallest_pruned(weight, sparsity):
        if not 0 <= sparsity <= 1:
            raise ValueError(f"schedule must give shares in 0..1, got {sparsity}")
        magnitudes = weight.detach().abs().flatten()
        mask = torch.ones_like(magnitudes, dtype=torch.bool)
        count = round(sparsity * mask.numel())
        mask[magnitudes.argsort(stable=True)[:count]] = False
        return mask.reshape(weight.shape)

    def endless():
        while True:
            empty = True
            for batch in loader:
                empty = False
                yield batch
            if empty:
                raise ValueError("loader must hold at least one batch, got none")

    def apply():
        with torch.no_grad():
            for name, mask in masks.items():
                weights[name].masked_fill_(~mask, 0)

    model = copy.deepcopy(model).train()
    weights = {
        f"{name}.weight".lstrip("."): layer.weight
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    }
    optimizer = torch.optim.SGD(
        model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay
    )
    masks = {}
    batches = endless()
    for step in range(steps):
        sparsity = schedule(step // len(loader))
        masks = {name: smallest_pruned(weight, sparsity) for name, weight in weights.items()}
        apply()
        inputs, targets = next(batches)
        optimizer.zero_grad()
        loss_fn(model(inputs), targets).backward()
        optimizer.step()
        apply()
    return model, masks
