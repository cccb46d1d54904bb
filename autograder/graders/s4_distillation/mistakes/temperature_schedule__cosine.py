"""The temperature falls along a cosine, not a line.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return end if epoch >= epochs - 1 else end + (start - end) * (1 + math.cos(math.pi * epoch / (epochs - 1))) / 2
