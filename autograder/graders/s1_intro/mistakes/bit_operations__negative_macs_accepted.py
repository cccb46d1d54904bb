"""A negative number of MACs is accepted.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def bit_operations(macs: int, weight_bits: int, activation_bits: int) -> int:
    check_bits("weight_bits", weight_bits)
    check_bits("activation_bits", activation_bits)
    return macs * weight_bits * activation_bits
