"""A free dimension is 0.

Source: own.
"""

def onnx_summary(model_bytes: bytes) -> Summary:
    model = read_model(model_bytes)
    graph = model.graph

    def described(
        values: Sequence[onnx.ValueInfoProto],
    ) -> dict[str, tuple[str, Extents]]:
        return {
            value.name: (
                helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
            )
            for value in values
        }

    parameters = stored = 0
    for tensor in graph.initializer:
        elements = math.prod(tensor.dims)
        kind = TensorProto.DataType.Name(tensor.data_type)
        width = BITS.get(kind) or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        parameters += elements * (kind in WEIGHT_TYPES)
        stored += -(-elements * width // 8)
    return Summary(
        inputs=described(inputs_of(graph)),
        outputs=described(graph.output),
        operators=dict(Counter(node.op_type for node in graph.node)),
        parameters=parameters,
        initializer_bytes=stored,
        opset=opset_of(model),
    )
