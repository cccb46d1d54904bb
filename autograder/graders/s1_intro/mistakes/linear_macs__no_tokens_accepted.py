"""A layer that is applied to nothing is counted instead of refused.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def linear_macs(in_features: int, out_features: int, tokens: int = 1) -> int:
    check_int("in_features", in_features, 1)
    check_int("out_features", out_features, 1)
    return in_features * out_features * tokens
