"""Sets and tuples of shapes; the graph is halved from its edges inwards."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from shared.records import Profile

CAPABILITIES = {"7.5": "SM75", "8.0": "SM80", "8.6": "SM86", "8.9": "SM89", "12.0": "SM120", "12.1": "SM121"}


def optimization_profile(minimum, optimum, maximum, name="input"):
    shapes = [tuple(shape) for shape in (minimum, optimum, maximum)]
    if len({len(shape) for shape in shapes}) != 1:
        raise ValueError(f"expected three shapes of one rank, got {shapes}")
    for sizes in zip(*shapes):
        if any(type(size) is not int for size in sizes) or sizes[0] < 1 or sorted(sizes) != [*sizes]:
            raise ValueError(f"expected 1 <= minimum <= optimum <= maximum, got {sizes}")
    return Profile(name, *shapes)


def _half(tensor):
    if tensor.data_type == TensorProto.FLOAT:
        values = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def to_float16(model_bytes):
    from onnx_export import fresh, parse, serialize

    model = parse(model_bytes)
    graph = model.graph
    for tensor in graph.initializer:
        _half(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _half(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == 1:
                attribute.i = TensorProto.FLOAT16
    first, last = [], []
    for value in graph.input:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            inner = fresh(model, value.name + ".half")
            for node in graph.node:
                node.input[:] = [inner if name == value.name else name for name in node.input]
            first.append(helper.make_node("Cast", [value.name], [inner], to=TensorProto.FLOAT16))
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            inner = fresh(model, value.name + ".half")
            for node in graph.node:
                node.input[:] = [inner if name == value.name else name for name in node.input]
                node.output[:] = [inner if name == value.name else name for name in node.output]
            last.append(helper.make_node("Cast", [inner], [value.name], to=TensorProto.FLOAT))
    nodes = [*first, *graph.node, *last]
    graph.ClearField("node")
    graph.node.extend(nodes)
    graph.ClearField("value_info")
    return serialize(model)


def _tensorrt():
    try:
        import tensorrt_rtx
    except ImportError:
        raise RuntimeError("tensorrt_rtx is not installed") from None
    return tensorrt_rtx


def _network(trt, data):
    logger = trt.Logger(trt.Logger.Severity.ERROR)
    builder = trt.Builder(logger)
    flag = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flag)
    parser = trt.OnnxParser(network, logger)
    errors = []
    if not parser.parse(data):
        for index in range(parser.num_errors):
            error = parser.get_error(index)
            errors.append((error.node(), error.node_name(), error.node_operator(), error.desc()))
    return builder, network, errors, parser


def unsupported_nodes(model_bytes):
    from onnx_export import parse

    nodes = parse(model_bytes).graph.node
    _, _, errors, _ = _network(_tensorrt(), model_bytes)
    return [(nodes[i].name, nodes[i].op_type) for i in sorted({error[0] for error in errors})]


def _check(model, targets, profile, workspace):
    if not targets or not CAPABILITIES.keys() >= set(targets):
        raise ValueError(f"targets: expected some of {list(CAPABILITIES)}, got {targets}")
    if isinstance(workspace, bool) or not isinstance(workspace, int) or workspace <= 0:
        raise ValueError(f"workspace: expected bytes, got {workspace!r}")
    stored = {tensor.name for tensor in model.graph.initializer}
    ports = {
        value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]  # 0: free
        for value in model.graph.input
        if value.name not in stored
    }
    if profile is None:
        if any(0 in sizes for sizes in ports.values()):
            raise ValueError("profile: the file has free dimensions")
        return
    if profile.name not in ports:
        raise ValueError(f"profile: expected the name of an input, {list(ports)}")
    sizes = ports[profile.name]
    for shape in (profile.minimum, profile.optimum, profile.maximum):
        if len(shape) != len(sizes) or any(s not in (0, given) for s, given in zip(sizes, shape)):
            raise ValueError(f"profile: {shape} does not fit {sizes}")


def build_engine(model_bytes, targets, profile, workspace):
    from onnx_export import parse

    _check(parse(model_bytes), targets, profile, workspace)
    trt = _tensorrt()
    builder, network, errors, parser = _network(trt, model_bytes)
    if errors:
        _, name, operator, text = errors[0]
        raise RuntimeError(f"node {name} ({operator}) is refused: {text}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, CAPABILITIES[target]), index)
    if profile is not None:
        ranges = builder.create_optimization_profile()
        ranges.set_shape(profile.name, profile.minimum, profile.optimum, profile.maximum)
        config.add_optimization_profile(ranges)
    plan = builder.build_serialized_network(network, config)
    del parser
    if plan is None:
        raise RuntimeError("the builder returned nothing")
    return bytes(plan)
