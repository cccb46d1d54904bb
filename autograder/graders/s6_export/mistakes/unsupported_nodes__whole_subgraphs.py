"""The nodes of the subgraphs that the parser cuts out are listed, which are those that it takes.

Source: own.
"""

def unsupported_nodes(model_bytes: bytes) -> list[tuple[str, str]]:
    model = read_model(model_bytes)
    trt = builder_module()
    builder = trt.Builder(quiet_logger(trt))
    network = strongly_typed(trt, builder)
    parser = trt.OnnxParser(network, quiet_logger(trt))
    parser.supports_model_v2(model_bytes)
    places = set()
    for number in range(parser.num_subgraphs):
        if not parser.is_subgraph_supported(number):
            places.update(parser.get_subgraph_nodes(number))
    refused = [model.graph.node[place] for place in sorted(places)]
    return [(node.name, node.op_type) for node in refused]
