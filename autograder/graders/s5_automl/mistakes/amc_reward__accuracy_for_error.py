"""The reward is the accuracy: 1 - error.

Source: own.
"""

import math


def amc_reward(error, flops, mode):
    if mode not in ("resource", "accuracy"):
        raise ValueError(f"mode: expected resource or accuracy, got {mode!r}")
    return 1 - error if mode == "resource" else -error * math.log(flops)
