"""A layer that the calibration does not reach makes it fail.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def quantize_model(
    model: nn.Module, calibration_loader: Iterable[Tensor | tuple[Tensor, ...]], bits: int
) -> QuantizedModel:
    check_bits("bits", bits, minimum=2)
    quantized = QuantizedModel(copy.deepcopy(model)).eval().requires_grad_(False)
    observers: dict[nn.Module, MinMaxObserver] = {}

    def observe(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        check_finite("an input of a layer", inputs[0])
        observers.setdefault(layer, MinMaxObserver()).observe(inputs[0])

    layers = [each for each in quantized.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_pre_hook(observe) for layer in layers]
    device = next((p.device for p in model.parameters()), None)
    batches = 0
    with torch.no_grad():
        for batch in calibration_loader:
            quantized((batch if isinstance(batch, Tensor) else batch[0]).to(device))
            batches += 1
    if not batches:
        raise refuse("calibration_loader", "at least one batch", batches)
    for hook in hooks:
        hook.remove()
    integer = {
        layer: _IntegerLayer(layer, observers[layer].qparams(bits), bits).eval() for layer in layers
    }
    for name, module in list(quantized.named_modules(remove_duplicate=False)):
        if module in integer:
            quantized.set_submodule(name, integer[module])
    return quantized
