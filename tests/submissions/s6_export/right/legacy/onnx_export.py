"""The older exporter; graph surgery through plain lists; the preprocessing folded into one affine."""

import io
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference

from shared.records import Comparison, Summary


def _load(data):
    if type(data) is not bytes or len(data) == 0:
        raise ValueError("model_bytes: empty")
    try:
        model = onnx.ModelProto()
        model.ParseFromString(data)
        for tensor in model.graph.initializer:
            if len(tensor.external_data):
                raise ValueError("model_bytes: external data")
        checker.check_model(model)
        shape_inference.infer_shapes(model, strict_mode=True)
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"model_bytes: {error}") from error
    if not model.graph.node:
        raise ValueError("model_bytes: no nodes")
    return model


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    if type(opset) is not int or not 18 <= opset <= 25:
        raise ValueError(f"opset: {opset!r}")
    was = [(module, module.training) for module in model.modules()]
    stream = io.BytesIO()
    keywords = {}
    if dynamic_batch:
        keywords["dynamic_axes"] = {"input": {0: "batch"}, "output": {0: "batch"}}
    try:
        model.train(False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore")
            torch.onnx.export(
                model,
                sample,
                stream,
                dynamo=False,
                opset_version=18,
                input_names=["input"],
                output_names=["output"],
                **keywords,
            )
    finally:
        for module, mode in was:
            module.training = mode
    result = onnx.load_model_from_string(stream.getvalue())
    result.opset_import[0].version = opset
    result.ir_version = 13 if opset == 25 else 10
    checker.check_model(result, full_check=True)
    return result.SerializeToString()


def _free_name(model, stem):
    names = {stem}
    text = str(model.graph)
    number = 0
    name = stem
    while f'"{name}"' in text:
        number += 1
        name = f"{stem}__{number}"
    assert names
    return name


def embed_preprocessing(model_bytes, mean, std):
    model = _load(model_bytes)
    value = model.graph.input[0]
    tensor = value.type.tensor_type
    if tensor.elem_type != 1 or len(tensor.shape.dim) != 4:
        raise ValueError("model_bytes: the input is not float (N, C, H, W)")
    channels = tensor.shape.dim[1].dim_value
    if len(mean) != channels or len(std) != channels or min(std) <= 0:
        raise ValueError(f"mean, std: {channels} numbers, std positive; got {mean}, {std}")
    mean, std = np.array(mean, float), np.array(std, float)
    # (x / 255 - mean) / std = a x + b
    a = (1 / (255 * std)).astype(np.float32).reshape(-1, 1, 1)
    b = (-mean / std).astype(np.float32).reshape(-1, 1, 1)
    names = {}
    for stem in ("to_float", "multiplied", "ready", "factor", "offset"):
        names[stem] = _free_name(model, "pre_" + stem)
    for node in model.graph.node:
        for place in range(len(node.input)):
            if node.input[place] == value.name:
                node.input[place] = names["ready"]
    model.graph.initializer.append(numpy_helper.from_array(a, names["factor"]))
    model.graph.initializer.append(numpy_helper.from_array(b, names["offset"]))
    new = [
        helper.make_node("Cast", [value.name], [names["to_float"]], to=1),
        helper.make_node("Mul", [names["factor"], names["to_float"]], [names["multiplied"]]),
        helper.make_node("Add", [names["multiplied"], names["offset"]], [names["ready"]]),
    ]
    for place, node in enumerate(new):
        model.graph.node.insert(place, node)
    tensor.elem_type = TensorProto.UINT8
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


_NUMPY = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool"}
_NUMPY |= {10: "float16", 11: "float64"}


def onnx_summary(model_bytes):
    model = _load(model_bytes)
    sides = []
    stored = [tensor.name for tensor in model.graph.initializer]
    for side in (model.graph.input, model.graph.output):
        found = {}
        for value in side:
            shape = []
            for dim in value.type.tensor_type.shape.dim:
                kind = dim.WhichOneof("value")
                shape.append(getattr(dim, kind) if kind else None)
            if value.name not in stored:
                found[value.name] = (_NUMPY[value.type.tensor_type.elem_type], tuple(shape))
        sides.append(found)
    operators = {}
    for node in model.graph.node:
        operators[node.op_type] = operators.get(node.op_type, 0) + 1
    bits = {1: 32, 2: 8, 3: 8, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 21: 4, 22: 4, 25: 2, 26: 2}
    parameters = size = 0
    for tensor in model.graph.initializer:
        count = 1
        for extent in tensor.dims:
            count *= extent
        size += (count * bits[tensor.data_type] + 7) // 8
        if tensor.data_type in (1, 3, 21, 22, 25, 26):
            parameters += count
    opset = [entry.version for entry in model.opset_import if entry.domain == ""][0]
    return Summary(sides[0], sides[1], operators, parameters, size, opset)


def compare_outputs(a, b, rtol, atol):
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"a, b: {a.shape}, {b.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    gap = np.abs(a - b)
    agreement = (np.argmax(a, 1) == np.argmax(b, 1)).sum() / len(a)
    is_close = bool((gap <= atol + rtol * np.abs(b)).all())
    return Comparison(float(gap.max()), float(gap.sum() / gap.size), float(agreement), is_close)


def _weight(model, name):
    tensors = [tensor for tensor in model.graph.initializer if tensor.name == name]
    users = [node for node in model.graph.node if name in node.input]
    if len(tensors) != 1 or tensors[0].data_type != 1 or len(users) != 1:
        raise ValueError(f"name: {name!r}")
    node = users[0]
    if node.op_type not in ("Conv", "Gemm", "MatMul") or list(node.input).index(name) != 1:
        raise ValueError(f"name: {name!r} is no weight")
    if list(node.input).count(name) != 1:
        raise ValueError(f"name: {name!r} is used twice")
    axis = 0
    if node.op_type == "MatMul":
        axis = len(tensors[0].dims) - 1
    if node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute):
        axis = 1
    return tensors[0], node, axis


def store_low_bit(model_bytes, name, codes, scale, bits):
    if bits not in (2, 4, 8):
        raise ValueError(f"bits: {bits!r}")
    model = _load(model_bytes)
    tensor, node, axis = _weight(model, name)
    codes, scale = np.asarray(codes), np.asarray(scale, np.float32)
    if list(codes.shape) != list(tensor.dims) or codes.dtype.kind not in "iu":
        raise ValueError("codes: shape or dtype")
    limit = 1 << (bits - 1)
    if codes.max() >= limit or codes.min() < -limit:
        raise ValueError("codes: out of range")
    if scale.shape != (codes.shape[axis],) or not (scale > 0).all():
        raise ValueError("scale: one positive number for each channel")
    c, s, w = (_free_name(model, stem) for stem in ("lb_codes", "lb_scale", "lb_weight"))
    kind = {8: TensorProto.INT8, 4: TensorProto.INT4, 2: TensorProto.INT2}[bits]
    small = codes.astype(helper.tensor_dtype_to_np_dtype(kind))
    stored = numpy_helper.from_array(small, c)
    model.graph.initializer.remove(tensor)
    model.graph.initializer.extend([stored, numpy_helper.from_array(scale, s)])
    node.input[1] = w
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", [c, s], [w], axis=axis))
    opset = {8: 13, 4: 21, 2: 25}[bits]
    if model.opset_import[0].version < opset:
        model.opset_import[0].version = opset
    model.ir_version = max(model.ir_version, {8: 8, 4: 10, 2: 13}[bits])
    checker.check_model(model, full_check=True)
    return model.SerializeToString()


def store_codebook(model_bytes, name, codebook, labels):
    model = _load(model_bytes)
    tensor, node, _ = _weight(model, name)
    codebook, labels = np.asarray(codebook, np.float32), np.asarray(labels)
    if codebook.ndim != 1 or codebook.size > 256 or list(labels.shape) != list(tensor.dims):
        raise ValueError("codebook, labels: shapes")
    if labels.min() < 0 or labels.max() >= codebook.size:
        raise ValueError("labels: out of range")
    names = [_free_name(model, stem) for stem in ("cb_labels", "cb_index", "cb_book", "cb_weight")]
    model.graph.initializer.remove(tensor)
    model.graph.initializer.append(numpy_helper.from_array(labels.astype(np.uint8), names[0]))
    model.graph.initializer.append(numpy_helper.from_array(codebook, names[2]))
    node.input[1] = names[3]
    model.graph.node.insert(0, helper.make_node("Cast", names[:1], names[1:2], to=7))
    model.graph.node.insert(1, helper.make_node("Gather", [names[2], names[1]], names[3:]))
    checker.check_model(model, full_check=True)
    return model.SerializeToString()
