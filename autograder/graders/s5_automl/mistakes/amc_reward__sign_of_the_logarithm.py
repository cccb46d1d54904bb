"""The reward of more operations is higher: the sign of the logarithm is wrong.

Source: curriculum list.
"""

import math


def amc_reward(error, flops, mode):
    if mode not in ("resource", "accuracy"):
        raise ValueError(f"mode: expected resource or accuracy, got {mode!r}")
    return -error if mode == "resource" else -error / math.log(flops)
