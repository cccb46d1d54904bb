"""A report without an accuracy is not refused with ValueError.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def compression_report(
    baseline: Mapping[str, float], compressed: Mapping[str, float]
) -> dict[str, float]:
    costs = ("params", "bytes", "macs")
    for name, measured in (("baseline", baseline), ("compressed", compressed)):
        if missing := (set(costs) - measured.keys()):
            raise refuse(name, f"the keys {sorted(missing)}", sorted(measured))
    report = {"accuracy_drop": baseline["accuracy"] - compressed["accuracy"]}
    for cost in costs:
        small = compressed[cost]
        report[f"{cost}_ratio"] = baseline[cost] / small if small else math.inf
    return report
