"""Mean and std of the first channel are used for all channels.

Source: own.
"""

def embed_preprocessing(model_bytes: bytes, mean: Sequence[float], std: Sequence[float]) -> bytes:
    model = read_model(model_bytes)
    graph = model.graph
    (image,) = inputs_of(graph)
    extents = extents_of(image)
    if image.type.tensor_type.elem_type != TensorProto.FLOAT or len(extents) != 4:
        text = f"{image.name!r} is not float32 (N, C, H, W)"
        raise ValueError(f"model_bytes: expected an input that preprocessing precedes, {text}")
    channels = extents[1] if isinstance(extents[1], int) else len(mean)
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise refuse(name, f"{channels} numbers, one per channel", values)
    if not all(deviation > 0 for deviation in std):
        raise refuse("std", "positive numbers", std)

    def per_channel(values: Sequence[float]) -> Array:
        return np.array(values[:1], np.float32).reshape(1, -1, 1, 1)

    stored = [
        add_constant(graph, "peak", np.float32(255)),
        add_constant(graph, "mean", per_channel(mean)),
        add_constant(graph, "std", per_channel(std)),
    ]
    names = [new_name(graph, name) for name in ("pixels", "scaled", "centred", "prepared")]
    for node, place in uses(graph, image.name):
        node.input[place] = names[-1]
    nodes = [helper.make_node("Cast", [image.name], [names[0]], to=TensorProto.FLOAT)]
    for number, kind in enumerate(("Div", "Sub", "Div")):
        operands = [names[number], stored[number]]
        nodes.append(helper.make_node(kind, operands, [names[number + 1]]))
    put_first(graph, nodes)
    image.type.tensor_type.elem_type = TensorProto.UINT8
    return write_model(model)
