"""Tiny weights are taken for zeros.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def compress(state: State, sparsity: float, bits: int) -> bytes:
    check_fraction("sparsity", sparsity)
    check_bits("bits", bits)
    head: list[list[Any]] = []
    exact, words = ([], [])
    for name, tensor in state.items():
        entry = [name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
        if _is_weight(tensor):
            tensor = tensor.where(tensor.abs() > 1e-08, 0.0)
            coded = _code(_prune(tensor, sparsity), bits)
            exact.append(_tensor_bytes(coded.centroids))
            words += [coded.gaps, coded.labels]
            entry += [len(coded.centroids), coded.width, coded.by_column]
            entry += [len(coded.gaps), len(coded.labels)]
        else:
            exact.append(_tensor_bytes(tensor))
        head.append(entry)
    text = json.dumps(head, separators=(",", ":")).encode()
    parts = [_squeeze(text, _TEXT), _squeeze(b"".join(exact), _NUMBERS)]
    return b"".join([struct.pack("<2I", *map(len, parts)), *parts, *words])
