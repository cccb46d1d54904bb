"""With a single epoch there is a division by 0.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return start + (end - start) * min(epoch / (epochs - 1), 1.0)
