"""Weights are quantised to 16 bits.

Source: own.
"""

def quantize_static(
    model_bytes: bytes, batches: Sequence[Array], per_channel: bool = True
) -> bytes:
    model = read_model(model_bytes)
    (value,) = inputs_of(model.graph)
    expected = extents_of(value)
    for batch in batches:
        fits = len(batch.shape) == len(expected) and all(
            not isinstance(extent, int) or extent == size
            for extent, size in zip(expected, batch.shape)
        )
        if not fits:
            raise ValueError(f"batches: expected the shape {expected}, got {batch.shape}")
    reader = CalibrationReader([np.asarray(each, np.float32) for each in batches], value.name)

    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder, silence():
        path = Path(folder) / "quantized.onnx"  # it writes files only
        quantize_static(
            model,
            path,
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt16,
            # What TensorRT takes: float biases, zero points of 0.
            extra_options={"QuantizeBias": False, "ActivationSymmetric": True},
        )
        return write_model(read_model(path.read_bytes()))
