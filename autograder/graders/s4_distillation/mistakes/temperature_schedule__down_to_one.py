"""The temperature falls to 1, whatever `end` is.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return 1.0 if epoch >= epochs - 1 else start + (1.0 - start) * epoch / (epochs - 1)
