"""Half precision by ONNX Runtime's ideas; the parser is asked once and its errors are read."""

import contextlib

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from shared.records import Profile


def optimization_profile(minimum, optimum, maximum, name="input"):
    if not len(minimum) == len(optimum) == len(maximum):
        raise ValueError("ranks")
    for low, middle, high in zip(minimum, optimum, maximum):
        if not 1 <= low <= middle <= high:
            raise ValueError(f"1 <= {low} <= {middle} <= {high} is false")
    return Profile(name=name, minimum=(*minimum,), optimum=(*optimum,), maximum=(*maximum,))


def halved(tensor):
    array = numpy_helper.to_array(tensor)
    return numpy_helper.from_array(np.float16(array), tensor.name)


def to_float16(model_bytes):
    from onnx_export import closed, opened

    model = opened(model_bytes)
    graph = model.graph
    floats = [value for value in (*graph.input, *graph.output) if value.type.tensor_type.elem_type == 1]
    inner = {value.name: f"{value.name}:half" for value in floats}
    for place, tensor in enumerate(list(graph.initializer)):
        if tensor.data_type == TensorProto.FLOAT:
            graph.initializer[place].CopyFrom(halved(tensor))
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = inner.get(name, name)
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT:
            node.attribute[0].i = TensorProto.FLOAT16
        if node.op_type == "Constant" and node.attribute[0].t.data_type == TensorProto.FLOAT:
            node.attribute[0].t.CopyFrom(halved(node.attribute[0].t))
    place = 0
    for value in floats:
        if value in graph.input:
            node = helper.make_node("Cast", [value.name], [inner[value.name]], to=TensorProto.FLOAT16)
            graph.node.insert(place, node)
            place += 1
        else:
            node = helper.make_node("Cast", [inner[value.name]], [value.name], to=TensorProto.FLOAT)
            graph.node.append(node)
    while graph.value_info:
        graph.value_info.pop()
    return closed(model)


@contextlib.contextmanager
def parsed(content):
    try:
        import tensorrt_rtx as trt
    except ImportError:
        raise RuntimeError("install tensorrt_rtx") from None
    log = trt.Logger(trt.ILogger.INTERNAL_ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    fine = parser.parse(content)
    yield trt, builder, network, [parser.get_error(i) for i in range(0 if fine else parser.num_errors)]


def unsupported_nodes(model_bytes):
    from onnx_export import opened

    nodes = opened(model_bytes).graph.node
    with parsed(model_bytes) as (_, _, _, errors):
        places = sorted({error.node() for error in errors})
        return [[nodes[place].name, nodes[place].op_type] for place in places]


def build_engine(model_bytes, targets, profile, workspace):
    from onnx_export import opened

    model = opened(model_bytes)
    known = "7.5 8.0 8.6 8.9 12.0 12.1".split()
    unknown = [target for target in targets if target not in known]
    if unknown or not targets or not isinstance(workspace, int) or workspace < 1:
        raise ValueError(f"targets {targets}, workspace {workspace}")
    ports = {}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        ports[value.name] = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    if profile is not None and profile.name not in ports:
        raise ValueError(f"no input is called {profile.name}")
    for name, dims in ports.items():
        if profile is None or profile.name != name:
            if None in dims:
                raise ValueError(f"{name} needs a profile")
            continue
        for shape in (profile.minimum, profile.optimum, profile.maximum):
            if [s if d is not None else None for s, d in zip(shape, dims)] != dims or len(shape) != len(dims):
                raise ValueError(f"{shape} does not fit {dims}")
    with parsed(model_bytes) as (trt, builder, network, errors):
        for error in errors:
            raise RuntimeError(f"{error.node_operator()} {error.node_name()!r}: {error.desc()}")
        options = builder.create_builder_config()
        options.num_compute_capabilities = len(targets)
        for place, target in enumerate(targets):
            capability = trt.ComputeCapability.__members__["SM" + target.replace(".", "")]
            options.set_compute_capability(capability, place)
        if profile is not None:
            shapes = builder.create_optimization_profile()
            shapes.set_shape(profile.name, profile.minimum, profile.optimum, profile.maximum)
            options.add_optimization_profile(shapes)
        options.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
        engine = builder.build_serialized_network(network, options)
        if not engine:
            raise RuntimeError("the builder gives no engine")
        return memoryview(engine).tobytes()
