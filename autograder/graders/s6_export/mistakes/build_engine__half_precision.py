"""The network is converted to float16 first.

Source: own.
"""

def build_engine(
    model_bytes: bytes, targets: Sequence[str], profile: Profile | None, workspace: int
) -> bytes:
    model = read_model(model_bytes)
    if not targets or not set(targets) <= set(TARGETS):
        raise refuse("targets", f"at least one of {', '.join(TARGETS)}", list(targets))
    check_int("workspace", workspace, 1)
    check_profile(model, profile)
    trt = builder_module()
    builder = trt.Builder(quiet_logger(trt))
    network = strongly_typed(trt, builder)
    parser = trt.OnnxParser(network, quiet_logger(trt))
    if not parser.parse(to_float16(model_bytes)):
        raise RuntimeError(f"the network cannot be built: {complaints(parser)}")
    config = builder.create_builder_config()
    config.num_compute_capabilities = len(targets)
    for number, target in enumerate(targets):
        capability = getattr(trt.ComputeCapability, f"SM{target.replace('.', '')}")
        config.set_compute_capability(capability, number)
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if profile is not None:
        shapes = builder.create_optimization_profile()
        shapes.set_shape(profile.name, profile.minimum, profile.optimum, profile.maximum)
        config.add_optimization_profile(shapes)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeError(f"no engine can be built for {', '.join(targets)}")
    return bytes(engine)
