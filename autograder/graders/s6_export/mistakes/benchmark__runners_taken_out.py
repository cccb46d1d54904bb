"""A runner that fails is taken out of the caller's mapping.

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
    working = runners
    for number in range(warmup + repeats):
        for name, run in list(working.items()):
            try:
                if number < warmup:
                    run(inputs)
                    continue
                start = clock()
                run(inputs)
                timings[name].append(clock() - start)
            except Exception:
                del working[name]  # its row says so, and the others are not held up
    rows = []
    for name, values in timings.items():
        timed = values if name in working else [math.nan]
        rows.append(Row(name, *np.percentile(timed, [50, 10, 90]).tolist()))
    return rows
