"""Results that nobody reads, such as the indices of max pooling, are counted.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def peak_activation_bytes(model: nn.Module, input_shape: Sequence[int]) -> int:
    example = _zeros_for(model, input_shape)
    ignored = {t.untyped_storage() for t in (*model.parameters(), *model.buffers())}
    born: dict[torch.UntypedStorage, int] = {}
    uses: list[set[torch.UntypedStorage]] = []

    def storages(tree: Any) -> set[torch.UntypedStorage]:
        return {t.untyped_storage() for t in tree_leaves(tree) if isinstance(t, Tensor)} - ignored

    def record(_operator: Any, inputs: Any, result: Any) -> None:
        for storage in storages((inputs, result)):
            born.setdefault(storage, len(uses))
        uses.append(storages((inputs, result)))

    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        record("input", (), example)
        with torch.no_grad(), _unfused_attention(), OperatorWatch(record):
            output = model(example)
        record("output", output, ())
    finally:
        for module, training in modes.items():
            module.training = training
    last_use = {storage: step for step, used in enumerate(uses) for storage in used}
    return max(
        (
            sum((s.nbytes() for s, last in last_use.items() if born[s] <= step <= last))
            for step in range(len(uses))
        )
    )
