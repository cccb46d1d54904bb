"""Half precision by walking the whole graph; engines through the parser's file of bytes."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shared.records import Profile


def _load(data):
    from onnx_export import _load

    return _load(data)


def _trt():
    try:
        import tensorrt_rtx as trt
    except ModuleNotFoundError as error:
        raise RuntimeError("tensorrt_rtx is missing") from error
    return trt


def optimization_profile(minimum, optimum, maximum, name="input"):
    shapes = np.array([[*minimum], [*optimum], [*maximum]] if len({*map(len, (minimum, optimum, maximum))}) == 1 else [[0]])
    if shapes.dtype.kind != "i" or shapes.min() < 1 or (np.diff(shapes, axis=0) < 0).any():
        raise ValueError(f"profile: {minimum}, {optimum}, {maximum}")
    return Profile(name, *(tuple(map(int, shape)) for shape in shapes))


def to_float16(model_bytes):
    model = _load(model_bytes)
    graph = model.graph
    for tensor in graph.initializer:
        if tensor.data_type == 1:
            half = numpy_helper.to_array(tensor).astype("float16")
            tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))
    names = {}
    begin, end = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == 1:
            names[value.name] = value.name + ".f16"
            begin.append(helper.make_node("Cast", [value.name], [value.name + ".f16"], to=10))
    for value in graph.output:
        if value.type.tensor_type.elem_type == 1:
            names[value.name] = value.name + ".f16"
            end.append(helper.make_node("Cast", [value.name + ".f16"], [value.name], to=1))
    middle = []
    for node in graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.input[:] = [names.get(name, name) for name in node.input]
        copy.output[:] = [names.get(name, name) for name in node.output]
        for attribute in copy.attribute:
            if copy.op_type == "Cast" and attribute.name == "to" and attribute.i == 1:
                attribute.i = TensorProto.FLOAT16
            if attribute.HasField("t") and attribute.t.data_type == 1:
                half = numpy_helper.to_array(attribute.t).astype("float16")
                attribute.t.CopyFrom(numpy_helper.from_array(half))
        middle.append(copy)
    graph.ClearField("value_info")
    graph.ClearField("node")
    graph.node.extend(begin + middle + end)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _start(trt):
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    return builder, network, trt.OnnxParser(network, logger)


def unsupported_nodes(model_bytes):
    model = _load(model_bytes)
    _, _, parser = _start(_trt())
    if parser.supports_model_v2(model_bytes):
        return []
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    refused = {error.node() for error in errors}
    return [(n.name, n.op_type) for i, n in enumerate(model.graph.node) if i in refused]


_TARGETS = {"7.5": "SM75", "8.0": "SM80", "8.6": "SM86", "8.9": "SM89"}
_TARGETS |= {"12.0": "SM120", "12.1": "SM121"}


def build_engine(model_bytes, targets, profile, workspace):
    model = _load(model_bytes)
    if len(targets) == 0 or any(target not in _TARGETS for target in targets):
        raise ValueError(f"targets: {targets}")
    if type(workspace) is not int or workspace <= 0:
        raise ValueError(f"workspace: {workspace!r}")
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    if profile is None:
        if any(0 in shape for shape in shapes.values()):
            raise ValueError("profile: a free dimension needs one")
    else:
        if profile.name not in shapes:
            raise ValueError(f"profile: no input {profile.name!r}")
        own = shapes[profile.name]
        for shape in (profile.minimum, profile.optimum, profile.maximum):
            if len(shape) != len(own) or any(o and o != e for o, e in zip(own, shape)):
                raise ValueError(f"profile: {shape} against {own}")
    trt = _trt()
    builder, network, parser = _start(trt)
    if not parser.parse(model_bytes):
        error = parser.get_error(0)
        text = f"{error.node_name()} {error.node_operator()} {error.desc()}"
        raise RuntimeError(text)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    config.num_compute_capabilities = len(targets)
    for i, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, _TARGETS[target]), i)
    if profile is not None:
        ranges = builder.create_optimization_profile()
        ranges.set_shape(profile.name, min=profile.minimum, opt=profile.optimum, max=profile.maximum)
        config.add_optimization_profile(ranges)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError("no engine")
    return bytes(plan)
