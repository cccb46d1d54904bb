"""The reward of accuracy mode grows with the error.

Source: curriculum list.
"""

import math


def amc_reward(error, flops, mode):
    if mode not in ("resource", "accuracy"):
        raise ValueError(f"mode: expected resource or accuracy, got {mode!r}")
    return -error if mode == "resource" else error * math.log(flops)
