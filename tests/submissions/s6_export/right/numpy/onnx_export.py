"""NumPy's narrow types do the packing; the network's own modes are put back one by one."""

import warnings
from collections import Counter
from contextlib import contextmanager

import ml_dtypes
import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

NARROW = {8: (np.int8, 18), 4: (ml_dtypes.int4, 21), 2: (ml_dtypes.int2, 25)}
COUNTED = {"FLOAT", "INT8", "INT4", "UINT4", "INT2", "UINT2"}


def parse(data):
    if not isinstance(data, bytes) or len(data) == 0:
        raise ValueError("model_bytes: expected a file")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:
        raise ValueError("model_bytes: not an ONNX file") from None
    inner = [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    for tensor in [*model.graph.initializer, *inner]:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ValueError(f"model_bytes: {tensor.name} is stored outside")
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ValueError(f"model_bytes: {str(error).splitlines()[0]}") from None
    return model


def serialize(model):
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def need_opset(model, version):
    for entry in model.opset_import:
        if entry.domain == "":
            entry.version = max(version, entry.version)
    least = helper.find_min_ir_version_for(model.opset_import)
    model.ir_version = max(least, model.ir_version)


@contextmanager
def evaluating(model):
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    if isinstance(opset, bool) or not isinstance(opset, int) or not 18 <= opset <= 25:
        raise ValueError(f"opset: expected 18..25, got {opset!r}")
    free = ({0: torch.export.Dim("n")},) if dynamic_batch else None
    example = torch.cat([sample, sample]) if dynamic_batch else sample
    with evaluating(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            verbose=False,
            dynamic_shapes=free,
            input_names=["input"],
            output_names=["output"],
            opset_version=18,
        )
    result = onnx.ModelProto()
    result.CopyFrom(program.model_proto)
    need_opset(result, opset)
    return serialize(result)


def embed_preprocessing(model_bytes, mean, std):
    model = parse(model_bytes)
    graph = model.graph
    pixels = graph.input[0]
    kind = pixels.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT or len(kind.shape.dim) != 4:
        raise ValueError("the input has to be float32 (N, C, H, W)")
    channels = kind.shape.dim[1].dim_value
    mean, std = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    if mean.shape != (channels,) or std.shape != (channels,) or (std <= 0).any():
        raise ValueError(f"mean, std: expected {channels} numbers each, std above 0")
    column = (1, channels, 1, 1)
    for name, values in (("pixel.factor", 1 / (255 * std)), ("pixel.shift", mean / std)):
        tensor = numpy_helper.from_array(values.reshape(column).astype(np.float32), name)
        graph.initializer.append(tensor)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == pixels.name:
                node.input[place] = "pixel.ready"
    kind.elem_type = TensorProto.UINT8
    before = [
        helper.make_node("Cast", [pixels.name], ["pixel.float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixel.float", "pixel.factor"], ["pixel.scaled"]),
        helper.make_node("Sub", ["pixel.scaled", "pixel.shift"], ["pixel.ready"]),
    ]
    after = list(graph.node)
    graph.ClearField("node")
    graph.node.extend(before + after)
    return serialize(model)


def describe(value):
    kind = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else (dim.dim_param or None)
        for dim in kind.shape.dim
    )
    return np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name, shape


def onnx_summary(model_bytes):
    from shared.records import Summary

    graph = (model := parse(model_bytes)).graph
    parameters = size = 0
    for tensor in graph.initializer:
        kind = TensorProto.DataType.Name(tensor.data_type)
        count = int(np.prod(tensor.dims, dtype=np.int64))
        digits = {"INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2}.get(kind)
        wide = digits or 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        size += (count * wide + 7) // 8
        parameters += count * (kind in COUNTED)
    stored = {tensor.name for tensor in graph.initializer}
    return Summary(
        {value.name: describe(value) for value in graph.input if value.name not in stored},
        {value.name: describe(value) for value in graph.output},
        dict(Counter(node.op_type for node in graph.node)),
        parameters,
        size,
        max(entry.version for entry in model.opset_import if entry.domain == ""),
    )


def compare_outputs(a, b, rtol, atol):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"expected two arrays (N, C), got {a.shape} and {b.shape}")
    away = np.abs(a - b)
    same = a.argmax(axis=1) == b.argmax(axis=1)
    fits = bool(np.allclose(a, b, rtol=rtol, atol=atol))
    return float(away.max()), float(away.mean()), float(same.mean()), fits


def weight_of(model, name):
    graph = model.graph
    found = [tensor for tensor in graph.initializer if tensor.name == name]
    if len(found) != 1 or found[0].data_type != TensorProto.FLOAT:
        raise ValueError(f"name: {name} is no float32 initialiser")
    users = [node for node in graph.node for given in node.input if given == name]
    if len(users) != 1 or list(users[0].input).index(name) != 1:
        raise ValueError(f"name: {name} has to be the weight of one layer")
    (user,) = users
    if user.op_type == "Conv":
        axis = 0
    elif user.op_type == "MatMul":
        axis = len(found[0].dims) - 1
    elif user.op_type == "Gemm":
        turned = {each.name: each.i for each in user.attribute}.get("transB", 0)
        axis = 0 if turned else 1
    else:
        raise ValueError(f"name: {name} is used by {user.op_type}")
    return found[0], user, axis


def replaced(model, old, user, tensors, node):
    graph = model.graph
    graph.initializer.remove(old)
    graph.initializer.extend(tensors)
    user.input[1] = node.output[0]
    graph.node.insert(list(graph.node).index(user), node)
    return serialize(model)


def fresh(model, stem):
    names = {t.name for t in model.graph.initializer}
    names |= {n for node in model.graph.node for n in (*node.input, *node.output)}
    while stem in names:
        stem += "'"
    return stem


def store_low_bit(model_bytes, name, codes, scale, bits):
    if isinstance(bits, bool) or bits not in NARROW:
        raise ValueError(f"bits: expected 8, 4 or 2, got {bits!r}")
    model = parse(model_bytes)
    old, user, axis = weight_of(model, name)
    codes, scale = np.asarray(codes), np.asarray(scale, np.float32)
    if codes.dtype.kind != "i" or codes.shape != tuple(old.dims):
        raise ValueError(f"codes: expected signed integers {tuple(old.dims)}")
    if codes.min() < -(2 ** (bits - 1)) or codes.max() >= 2 ** (bits - 1):
        raise ValueError(f"codes: more than {bits} bits")
    if scale.shape != (codes.shape[axis],) or not (scale > 0).all():
        raise ValueError(f"scale: expected {codes.shape[axis]} positive numbers")
    dtype, opset = NARROW[bits]
    need_opset(model, opset)
    code_name, scale_name = fresh(model, f"{name}.codes"), fresh(model, f"{name}.scale")
    tensors = [
        numpy_helper.from_array(codes.astype(dtype), code_name),
        numpy_helper.from_array(scale, scale_name),
    ]
    output = fresh(model, f"{name}.float")
    node = helper.make_node("DequantizeLinear", [code_name, scale_name], [output], axis=axis)
    return replaced(model, old, user, tensors, node)


def store_codebook(model_bytes, name, codebook, labels):
    model = parse(model_bytes)
    old, user, _ = weight_of(model, name)
    codebook, labels = np.asarray(codebook, np.float32), np.asarray(labels)
    if codebook.ndim != 1 or not 1 <= codebook.size <= 256 or labels.shape != tuple(old.dims):
        raise ValueError(f"expected at most 256 entries, and labels {tuple(old.dims)}")
    if labels.min() < 0 or labels.max() >= codebook.size:
        raise ValueError(f"labels: expected 0..{codebook.size - 1}")
    book, places = fresh(model, f"{name}.book"), fresh(model, f"{name}.labels")
    wide, output = fresh(model, f"{name}.indices"), fresh(model, f"{name}.float")
    model.graph.node.insert(
        0, helper.make_node("Cast", [places], [wide], to=TensorProto.INT32)
    )
    tensors = [
        numpy_helper.from_array(codebook, book),
        numpy_helper.from_array(labels.astype(np.uint8), places),
    ]
    return replaced(model, old, user, tensors, helper.make_node("Gather", [book, wide], [output]))
