"""p90 is the nearest rank, without interpolation.

Source: own.
"""

import math
import statistics
import time

from shared.records import Latency


def measure_latency(fn, warmup=10, repeats=50, clock=time.perf_counter, synchronize=None):
    if warmup < 0 or repeats < 1:
        raise ValueError(f"need warmup >= 0 and repeats >= 1, got {warmup} and {repeats}")
    wait = synchronize or (lambda: None)
    for _ in range(warmup):
        fn()
    times = []
    for _ in range(repeats):
        wait()
        start = clock()
        fn()
        wait()
        times.append(clock() - start)
    times.sort()
    p90 = times[math.ceil(0.9 * repeats) - 1]
    return Latency(statistics.median(times), p90)
