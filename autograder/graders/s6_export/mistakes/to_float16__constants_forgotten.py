"""Constants in nodes stay float32.

Source: own.
"""

def to_float16(model_bytes: bytes) -> bytes:
    model = read_model(model_bytes)
    graph = model.graph
    for tensor in graph.initializer:
        tensor.CopyFrom(half(tensor))
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "to":
                halve_attribute(node.op_type, attribute)
    del graph.value_info[:]  # they name the old types, and can be inferred again
    before, after = [], []
    for value in inputs_of(graph):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            halved = new_name(graph, f"{value.name}_half")
            for node, place in uses(graph, value.name):
                node.input[place] = halved
            before.append(cast(value.name, halved, TensorProto.FLOAT16))
    for value in graph.output:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            halved = new_name(graph, f"{value.name}_half")
            rename(graph, value.name, halved)
            after.append(cast(halved, value.name, TensorProto.FLOAT))
    nodes = [*before, *graph.node, *after]  # in the order of computation
    del graph.node[:]
    graph.node.extend(nodes)
    return model.SerializeToString()
