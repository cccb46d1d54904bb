"""The temperature is `start` until the last epoch.

Source: own.
"""

import math


def temperature_schedule(epoch, epochs, start=8.0, end=1.0):
    return end if epoch >= epochs - 1 else start
