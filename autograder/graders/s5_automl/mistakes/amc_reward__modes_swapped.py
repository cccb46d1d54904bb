"""The two modes are swapped.

Source: own.
"""

import math


def amc_reward(error, flops, mode):
    if mode not in ("resource", "accuracy"):
        raise ValueError(f"mode: expected resource or accuracy, got {mode!r}")
    return -error if mode == "accuracy" else -error * math.log(flops)
