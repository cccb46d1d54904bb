"""With a single epoch the temperature is `start`; it is `end`.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return start + (end - start) * min(epoch / max(epochs - 1, 1), 1.0)
