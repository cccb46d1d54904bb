"""The caller's weight is scaled in place.

Source: own.
"""

def smooth(weight: Tensor, activation_absmax: Tensor, alpha: float = 0.5) -> tuple[Tensor, Tensor]:
    check_shape("weight", weight, "out", "in")
    check_shape("activation_absmax", activation_absmax, weight.shape[1])
    check_fraction("alpha", alpha)
    if bool((activation_absmax < 0).any()):
        raise refuse("activation_absmax", "numbers of at least 0", activation_absmax.min())
    inputs, columns = activation_absmax.double(), weight.double().abs().amax(dim=0)
    scales = inputs**alpha / columns ** (1 - alpha)
    scales = torch.where((inputs > 0) & (columns > 0), scales, 1.0)
    weight.copy_(weight.double() * scales)
    return weight, scales.to(weight.dtype)
