"""`end` would be reached in epoch `epochs`, one after the last.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return end if epoch >= epochs else start + (end - start) * epoch / epochs
