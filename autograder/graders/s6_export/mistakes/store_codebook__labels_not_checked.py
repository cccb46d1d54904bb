"""Labels out of range wrap or are clipped.

Source: own.
"""

def store_codebook(model_bytes: bytes, name: str, codebook: Array, labels: Array) -> bytes:
    model = read_model(model_bytes)
    graph = model.graph
    output_axis(graph, name)
    entries = np.asarray(codebook, np.float32)
    if entries.ndim != 1 or not 1 <= len(entries) <= 256:
        raise refuse("codebook", "1 to 256 entries in one dimension", entries.shape)
    labels, shape = np.asarray(labels), tuple(initializer_of(graph, name).dims)
    if labels.shape != shape or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels: expected integers {shape}, got {labels.dtype} {labels.shape}")
    labels = labels % len(entries)
    if labels.min(initial=0) < 0:
        raise ValueError(
            f"labels: expected 0..{len(entries) - 1}, got {labels.min()}..{labels.max()}"
        )
    stored = add_constant(graph, "labels", labels.astype(np.uint8))
    indices = new_name(graph, "indices")
    nodes = [
        helper.make_node("Cast", [stored], [indices], to=TensorProto.INT32),
        helper.make_node("Gather", [add_constant(graph, "codebook", entries), indices], [], axis=0),
    ]
    replace_weight(graph, name, nodes)
    return write_model(model)
