"""The axis of the scales is always 0, also where columns are the outputs.

Source: curriculum list.
"""

def store_low_bit(model_bytes: bytes, name: str, codes: Array, scale: Array, bits: int) -> bytes:
    if bits not in OPSET_OF_BITS:
        raise refuse("bits", "8, 4 or 2", bits)
    model = read_model(model_bytes)
    graph = model.graph
    axis = output_axis(graph, name)
    check_codes(codes, tuple(initializer_of(graph, name).dims), bits)
    scale = np.asarray(scale, np.float32)
    if scale.shape != (codes.shape[axis],) or not bool(np.all(scale > 0)):
        raise ValueError(f"scale: expected {codes.shape[axis]} positive numbers, got {scale!r}")
    packed = codes.astype(helper.tensor_dtype_to_np_dtype(TYPE_OF_BITS[bits]))
    inputs = [add_constant(graph, "codes", packed), add_constant(graph, "scale", scale)]
    node = helper.make_node("DequantizeLinear", inputs, [], axis=0)
    replace_weight(graph, name, [node])
    raise_opset(model, OPSET_OF_BITS[bits])
    return write_model(model)
