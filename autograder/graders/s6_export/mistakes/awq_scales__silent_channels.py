"""A channel without inputs gets a scale of 0.

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
    exact, inputs = weight.double(), activations.double()
    loudness = inputs.abs().mean(dim=0)
    best, least = torch.ones_like(loudness), math.inf
    for alpha in np.linspace(0, 1, grid):
        scales = loudness**alpha
        error = rounded(exact * scales, bits, group) / scales - exact
        error = error.nan_to_num(0.0)
        loss = float((error @ inputs.T).square().sum())
        if loss < least:
            best, least = scales, loss
    return best.to(weight.dtype)
