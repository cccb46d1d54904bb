"""The caller's activations are divided by their largest magnitude in place.

Source: own.
"""

def awq_scales(
    weight: Tensor, activations: Tensor, bits: int, group: int | None, grid: int
) -> Tensor:
    check_shape("weight", weight, "out", "in")
    check_shape("activations", activations, "n", weight.shape[1])
    check_bits("bits", bits, minimum=2)
    check_int("grid", grid, 1)
    if group is not None:
        check_int("group", group, 1)
        if weight.shape[1] % group:
            raise refuse("group", f"a divisor of {weight.shape[1]}", group)
    activations /= activations.abs().amax().clamp(min=1e-30)
    exact, inputs = weight.double(), activations.double()
    loudness = inputs.abs().mean(dim=0)
    silent = loudness == 0  # any scale is right for them
    loudness = torch.where(silent, loudness.max(), loudness)
    loudness = torch.where(loudness > 0, loudness, 1.0)
    best, least = torch.ones_like(loudness), math.inf
    for alpha in np.linspace(0, 1, grid):
        scales = loudness**alpha
        scales = scales / (scales.max() * scales.min()).sqrt()  # the middle stays near 1
        error = rounded(exact * scales, bits, group) / scales - exact
        loss = float((error @ inputs.T).square().sum())
        if loss < least:
            best, least = scales, loss
    return best.to(weight.dtype)
