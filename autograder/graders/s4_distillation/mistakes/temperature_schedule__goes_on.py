"""After the last epoch the temperature goes on falling.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return start + (end - start) * epoch / max(epochs - 1, 1) if epochs > 1 else end
