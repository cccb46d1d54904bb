"""A small network as large as the large one is accepted.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def compare_large_sparse_small_dense(
    large: int = 64, small: Sequence[int] = (8, 16), epochs: int = 10, seed: int = 0
) -> list[dict[str, Any]]:
    check_int("large", large, 2)
    check_int("epochs", epochs, 1)
    if not small:
        raise refuse("small", "at least one width", small)
    for width in small:
        check_int("small", width, 1)
    with isolated_rng():
        data = load_digits().normalised()

    def build(width: int) -> nn.Module:
        layers = [nn.Linear(a, b, bias=False) for a, b in ((64, width), (width, width))]
        hidden = [module for layer in layers for module in (layer, nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(width, 10, bias=False))

    def measure(name: str, width: int, budget: int | None = None) -> dict[str, Any]:
        with isolated_rng(seed):
            model = build(width)
        params = sum((weight.numel() for weight in model.parameters()))
        final = 0.0 if budget is None else 1 - budget / params
        batches = TensorBatches(data, data.train, 64, seed)
        steps = epochs * len(batches)
        start, interval = (steps // 10, max(steps // 50, 1))
        trained, _ = gradual_prune(
            model,
            batches,
            lambda t: final if t == steps - 1 else cubic_sparsity(t, start, 30, interval, 0, final),
            steps,
        )
        with torch.no_grad():
            correct = trained(data.test.images).argmax(dim=1) == data.test.labels
        nonzeros = sum((int(weight.count_nonzero()) for weight in trained.parameters()))
        return {
            "name": name,
            "params": params,
            "nonzeros": nonzeros,
            "sparsity": 1 - nonzeros / params,
            "accuracy": correct.double().mean().item(),
        }

    rows = []
    for width in small:
        rows.append(measure(f"small dense, width {width}", width))
        rows.append(measure(f"large sparse as width {width}", large, rows[-1]["params"]))
    return rows
