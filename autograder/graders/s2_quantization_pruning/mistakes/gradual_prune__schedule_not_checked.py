"""A schedule that leaves 0..1 is clipped.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def gradual_prune(
    model: nn.Module,
    loader: Batches,
    schedule: Callable[[int], float],
    steps: int,
    loss_fn: LossFunction = F.cross_entropy,
    lr: float = 0.05,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
) -> tuple[nn.Module, dict[str, Tensor]]:
    check_int("steps", steps, 1)
    pruned = copy.deepcopy(model).train()
    weights = _prunable(pruned)
    if not weights:
        raise refuse("model", "a linear or convolution layer", model)
    masks = {name: torch.ones_like(w, dtype=torch.bool) for name, w in weights.items()}
    optimizer = torch.optim.SGD(pruned.parameters(), lr, momentum, weight_decay=weight_decay)

    def step_and_prune(step: int) -> None:
        masked_step(optimizer, pruned, masks)
        sparsity = schedule(step)
        sparsity = min(max(sparsity, 0.0), 1.0)
        masks.update(global_masks(weights, sparsity))
        apply_masks(pruned, masks)

    _train(pruned, loader, steps, loss_fn, step_and_prune)
    return (pruned, masks)
