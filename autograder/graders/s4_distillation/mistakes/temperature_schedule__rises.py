"""The temperature rises from `end` to `start`.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return start if epoch >= epochs - 1 else end + (start - end) * epoch / (epochs - 1)
