"""The codes of a byte are packed in the wrong order: the first one belongs in the low bits.

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
    flat = codes.reshape(-1).copy()
    per_byte = 8 // bits
    whole = flat.size // per_byte * per_byte
    flat[:whole] = flat[:whole].reshape(-1, per_byte)[:, ::-1].reshape(-1)
    packed = flat.reshape(codes.shape).astype(packed.dtype)
    inputs = [add_constant(graph, "codes", packed), add_constant(graph, "scale", scale)]
    node = helper.make_node("DequantizeLinear", inputs, [], axis=axis)
    replace_weight(graph, name, [node])
    raise_opset(model, OPSET_OF_BITS[bits])
    return write_model(model)
