"""The mean is returned instead of the median.

Source: curriculum list.
"""

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
    position = 0.9 * (repeats - 1)
    below = int(position)
    above = min(below + 1, repeats - 1)
    p90 = times[below] + (position - below) * (times[above] - times[below])
    return Latency(statistics.fmean(times), p90)
