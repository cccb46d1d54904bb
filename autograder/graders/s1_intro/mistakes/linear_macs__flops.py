"""A multiplication and its addition count as two, not as one.

Source: curriculum list.
"""


def linear_macs(in_features, out_features, tokens=1):
    if min(in_features, out_features, tokens) < 1:
        raise ValueError(f"sizes must be positive: {in_features}, {out_features}, {tokens}")
    return 2 * in_features * out_features * tokens
