"""The nodes are sorted by name.

Source: own.
"""

def unsupported_nodes(model_bytes: bytes) -> list[tuple[str, str]]:
    model = read_model(model_bytes)
    trt = builder_module()
    builder = trt.Builder(quiet_logger(trt))
    network = strongly_typed(trt, builder)
    parser = trt.OnnxParser(network, quiet_logger(trt))
    parser.supports_model_v2(model_bytes)
    places = {parser.get_error(number).node() for number in range(parser.num_errors)}
    refused = [model.graph.node[place] for place in sorted(places)]
    return sorted((node.name, node.op_type) for node in refused)
