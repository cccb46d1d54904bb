"""The codebook's bytes are not counted.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def stage_report(state: State, sparsity: float, bits: int) -> dict[str, int]:
    check_fraction("sparsity", sparsity)
    check_bits("bits", bits)
    from clustering import cluster_nonzero
    from coding import relative_index_encode

    dense = pruned = quantised = 0
    for tensor in state.values():
        whole = pruned_size = shared_size = 8 * tensor.nbytes
        if _is_weight(tensor):
            weight = _prune(tensor, sparsity)
            mask = weight != 0
            orders = [torch.flatten(mask), _columns(mask)]
            places = min(
                (w * len(relative_index_encode(o, w)) for o in orders for w in _widths(mask))
            )
            k = len(cluster_nonzero(weight, mask, bits)[0]) - 1
            kept, label_bits = (int(mask.sum()), max(k - 1, 0).bit_length())
            pruned_size = min(places + kept * 8 * tensor.itemsize, whole)
            shared_size = min(places + kept * label_bits, whole)
        dense, pruned, quantised = (dense + whole, pruned + pruned_size, quantised + shared_size)
    return {
        "dense": dense // 8,
        "pruned": -(-pruned // 8),
        "quantised": -(-quantised // 8),
        "huffman": len(compress(state, sparsity, bits)),
    }
