"""The temperature falls by equal factors, not by equal steps.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return end if epoch >= epochs - 1 else start * (end / start) ** (epoch / (epochs - 1))
