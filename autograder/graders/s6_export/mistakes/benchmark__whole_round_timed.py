"""The clock is read once a round, and its time divided among the runners.

Source: own.
"""

def benchmark(
    runners: Mapping[str, Callable[[Any], Any]],
    inputs: Any,
    warmup: int,
    repeats: int,
    clock: Callable[[], float],
) -> list[Row]:
    check_int("warmup", warmup, 0)
    check_int("repeats", repeats, 1)
    if not runners:
        raise ValueError("runners: expected at least one, got none")
    timings: dict[str, list[float]] = {name: [] for name in runners}
    working = dict(runners)
    for number in range(warmup + repeats):
        start = clock() if number >= warmup else 0.0
        for name, run in list(working.items()):
            try:
                run(inputs)
            except Exception:
                del working[name]
        if number >= warmup:
            took = (clock() - start) / len(runners)
            for values in timings.values():
                values.append(took)
    rows = []
    for name, values in timings.items():
        timed = values if name in working else [math.nan]
        rows.append(Row(name, *np.percentile(timed, [50, 10, 90]).tolist()))
    return rows
