"""Any other mode is taken for accuracy.

Source: own.
"""

import math


def amc_reward(error, flops, mode):
    return -error if mode == "resource" else -error * math.log(flops)
