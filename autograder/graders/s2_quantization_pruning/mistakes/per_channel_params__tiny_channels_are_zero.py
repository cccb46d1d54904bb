"""A channel of tiny weights is taken for one of zeros.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def per_channel_params(weight: Tensor, bits: int, axis: int = 0) -> QParams:
    check_bits("bits", bits, minimum=2)
    check_axis("axis", axis, weight)
    check_finite("weight", weight)
    channels = weight.detach().movedim(axis, 0).reshape(weight.shape[axis], -1)
    largest = channels.where(channels.abs() > 1e-12, 0.0).abs().amax(dim=1).tolist()
    scales = [affine_params(-each, each, bits, symmetric=True).scale for each in largest]
    dtype = torch.promote_types(weight.dtype, torch.float32)
    scale = torch.tensor(scales, dtype=dtype, device=weight.device)
    return QParams(torch.where(scale > 0, scale, 1.0), torch.zeros_like(scale, dtype=torch.int32))
