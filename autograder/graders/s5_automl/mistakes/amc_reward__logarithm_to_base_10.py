"""The logarithm is the one to base 10.

Source: own.
"""

import math


def amc_reward(error, flops, mode):
    if mode not in ("resource", "accuracy"):
        raise ValueError(f"mode: expected resource or accuracy, got {mode!r}")
    return -error if mode == "resource" else -error * math.log10(flops)
