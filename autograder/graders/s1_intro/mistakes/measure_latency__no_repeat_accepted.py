"""No repeat at all is accepted.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def measure_latency(
    fn: Callable[[], object],
    warmup: int = 10,
    repeats: int = 50,
    clock: Callable[[], float] = time.perf_counter,
    synchronize: Callable[[], object] | None = None,
) -> Latency:
    check_int("warmup", warmup, 0)
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
    return Latency(median=float(np.median(times)), p90=float(np.percentile(times, 90)))
