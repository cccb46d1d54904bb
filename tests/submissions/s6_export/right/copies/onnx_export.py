"""A copy of the network is exported; bits are packed by hand; the preprocessing is its own graph."""

import copy
import logging
import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper


def opened(content):
    if not content:
        raise ValueError("no bytes")
    try:
        model = onnx.load_model_from_string(content)
        if any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer):
            raise ValueError("data in another file")
        onnx.checker.check_model(content)
    except ValueError:
        raise
    except BaseException as error:
        raise ValueError(f"no ONNX file: {type(error).__name__}") from None
    return model


def closed(model):
    onnx.checker.check_model(model, True)
    return model.SerializeToString()


def export_onnx(model, sample, dynamic_batch=True, opset=21):
    if opset not in range(18, 26) or isinstance(opset, str):
        raise ValueError(f"opset {opset}")
    copied = copy.deepcopy(model).eval()
    shapes = {0: torch.export.Dim("batch", min=1)} if dynamic_batch else None
    sample = sample if not dynamic_batch or len(sample) > 1 else sample.expand(3, *sample.shape[1:])
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            copied,
            (sample.clone(),),
            str(path),
            verbose=False,
            dynamo=True,
            external_data=False,
            input_names=["input"],
            output_names=["output"],
            opset_version=min(opset, 20),
            dynamic_shapes=(shapes,) if shapes else None,
        )
        exported = onnx.load(path)
    exported.opset_import[0].version = opset
    exported.ir_version = max(exported.ir_version, 10 if opset < 25 else 13)
    return closed(exported)


def embed_preprocessing(model_bytes, mean, std):
    model = opened(model_bytes)
    value = model.graph.input[0]
    dims = value.type.tensor_type.shape.dim
    if value.type.tensor_type.elem_type != TensorProto.FLOAT or len(dims) != 4:
        raise ValueError("the input is no float image")
    channels = dims[1].dim_value
    if not (len(mean) == len(std) == channels and all(s > 0 for s in std)):
        raise ValueError("mean and std: one number for each channel, std above 0")
    shape = [d.dim_param or d.dim_value for d in dims]
    columns = {
        "peak": np.float32(255).reshape(1, 1, 1, 1),
        "mean": np.float32(mean).reshape(1, channels, 1, 1),
        "std": np.float32(std).reshape(1, channels, 1, 1),
    }
    nodes = [
        helper.make_node("Cast", ["raw"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["float", "peak"], ["share"]),
        helper.make_node("Sub", ["share", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["done"]),
    ]
    before = helper.make_graph(
        nodes,
        "preprocessing",
        [helper.make_tensor_value_info("raw", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("done", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in columns.items()],
    )
    first = helper.make_model(before, opset_imports=model.opset_import, ir_version=model.ir_version)
    first = compose.add_prefix(first, "preprocessing/")
    name = value.name
    merged = compose.merge_models(first, model, io_map=[("preprocessing/done", name)])
    for node in merged.graph.node:  # give the input its name back, and the inner one another
        node.input[:] = [{name: "prepared/", "preprocessing/raw": name}.get(n, n) for n in node.input]
        node.output[:] = ["prepared/" if n in (name, "preprocessing/done") else n for n in node.output]
        node.input[:] = ["prepared/" if n == "preprocessing/done" else n for n in node.input]
    merged.graph.input[0].name = name
    del merged.graph.value_info[:]
    return closed(merged)


def onnx_summary(model_bytes):
    model = opened(model_bytes)

    def port(value):
        kind = value.type.tensor_type
        extents = []
        for dim in kind.shape.dim:
            extents.append(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None)
        return str(helper.tensor_dtype_to_np_dtype(kind.elem_type)), tuple(extents)

    operators, parameters, size = {}, 0, 0
    for node in model.graph.node:
        operators.setdefault(node.op_type, 0)
        operators[node.op_type] += 1
    for tensor in model.graph.initializer:
        kind = TensorProto.DataType.Name(tensor.data_type).lower()
        elements = math.prod(tensor.dims)
        for bits in (2, 4):
            if kind in (f"int{bits}", f"uint{bits}"):
                size += math.ceil(elements / (8 // bits))
                break
        else:
            size += numpy_helper.to_array(tensor).nbytes
        if kind in ("float", "int8", "int4", "uint4", "int2", "uint2"):
            parameters += elements
    versions = {entry.domain: entry.version for entry in model.opset_import}
    inputs = {value.name: port(value) for value in model.graph.input}
    outputs = {value.name: port(value) for value in model.graph.output}
    return inputs, outputs, operators, parameters, size, versions[""]


def compare_outputs(a, b, rtol, atol):
    x, y = torch.from_numpy(np.array(a, np.float64)), torch.from_numpy(np.array(b, np.float64))
    if x.dim() != 2 or x.shape != y.shape:
        raise ValueError("shapes")
    gap = (x - y).abs()
    agreement = (x.argmax(1) == y.argmax(1)).double().mean()
    close = torch.allclose(x, y, rtol=rtol, atol=atol)
    return gap.max().item(), gap.mean().item(), agreement.item(), close


def place_of(model, name):
    kept = [t for t in model.graph.initializer if t.name == name and t.data_type == 1]
    spots = [(n, i) for n in model.graph.node for i, given in enumerate(n.input) if given == name]
    if not kept or len(spots) != 1 or spots[0][1] != 1:
        raise ValueError(f"{name} is no weight")
    node = spots[0][0]
    flags = {a.name: a.i for a in node.attribute}
    axis = {"Conv": 0, "MatMul": -1, "Gemm": 0 if flags.get("transB") else -1}.get(node.op_type)
    if axis is None:
        raise ValueError(f"{name} is no weight")
    return kept[0], node, axis % len(kept[0].dims)


def exchange(model, tensor, node, stored, nodes):
    graph = model.graph
    others = [t for t in graph.initializer if t is not tensor and t.name != tensor.name]
    del graph.initializer[:]
    graph.initializer.extend([*others, *stored])
    node.input[1] = nodes[-1].output[0]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    return closed(model)


def packed(codes, bits):
    per_byte = 8 // bits
    flat = codes.reshape(-1).astype(np.int64) & (1 << bits) - 1
    flat = np.append(flat, np.zeros(-len(flat) % per_byte, np.int64)).reshape(-1, per_byte)
    return (flat << bits * np.arange(per_byte)).sum(axis=1).astype(np.uint8).tobytes()


def store_low_bit(model_bytes, name, codes, scale, bits):
    kinds = {8: (TensorProto.INT8, 13, 7), 4: (TensorProto.INT4, 21, 10), 2: (TensorProto.INT2, 25, 13)}
    if bits not in kinds:
        raise ValueError(f"bits {bits}")
    model = opened(model_bytes)
    tensor, node, axis = place_of(model, name)
    kind, opset, version = kinds[bits]
    if tuple(tensor.dims) != codes.shape or not np.issubdtype(codes.dtype, np.signedinteger):
        raise ValueError("codes: shape")
    if not np.array_equal(codes, np.clip(codes, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)):
        raise ValueError("codes: range")
    if len(scale) != codes.shape[axis] or min(scale) <= 0:
        raise ValueError("scale")
    stem = f"{name}/packed/{len(model.graph.initializer)}"
    stored = [
        TensorProto(name=stem, data_type=kind, dims=codes.shape, raw_data=packed(codes, bits)),
        numpy_helper.from_array(np.asarray(scale, np.float32), stem + "/scale"),
    ]
    dequantize = helper.make_node(
        "DequantizeLinear", [stem, stem + "/scale"], [stem + "/weight"], axis=axis
    )
    for entry in model.opset_import:
        if entry.domain == "" and entry.version < opset:
            entry.version = opset
    model.ir_version = max(model.ir_version, version)
    return exchange(model, tensor, node, stored, [dequantize])


def store_codebook(model_bytes, name, codebook, labels):
    model = opened(model_bytes)
    tensor, node, _ = place_of(model, name)
    if not 0 < len(codebook) <= 256 or tuple(tensor.dims) != labels.shape:
        raise ValueError("codebook or labels")
    if not set(np.unique(labels).tolist()) <= set(range(len(codebook))):
        raise ValueError("labels out of range")
    stem = f"{name}/shared/{len(model.graph.initializer)}"
    raw = bytes(labels.reshape(-1).tolist())
    stored = [
        TensorProto(name=stem, data_type=TensorProto.UINT8, dims=labels.shape, raw_data=raw),
        numpy_helper.from_array(np.float32(codebook), stem + "/entries"),
    ]
    nodes = [
        helper.make_node("Cast", [stem], [stem + "/places"], to=TensorProto.INT64),
        helper.make_node("Gather", [stem + "/entries", stem + "/places"], [stem + "/weight"]),
    ]
    return exchange(model, tensor, node, stored, nodes)
