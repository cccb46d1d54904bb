"""All weights equal to the threshold are pruned.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def sensitivity_scan(
    model: nn.Module, evaluate: Callable[[nn.Module], float], grid: Sequence[float]
) -> dict[str, list[float]]:
    for sparsity in grid:
        check_fraction("grid", sparsity)
    modes = [(module, module.training) for module in model.modules()]
    scores: dict[str, list[float]] = {}
    for name, weight in _prunable(model).items():
        original = weight.detach().clone()
        scores[name] = []
        try:
            for sparsity in grid:
                k = round(sparsity * original.numel())
                pruned = (
                    original.masked_fill(
                        original.abs() <= original.abs().flatten().sort().values[k - 1], 0.0
                    )
                    if k
                    else original
                )
                with torch.no_grad():
                    weight.copy_(pruned)
                scores[name].append(evaluate(model))
        finally:
            with torch.no_grad():
                weight.copy_(original)
            for module, training in modes:
                module.training = training
    return scores
