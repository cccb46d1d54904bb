"""Ratios are compressed / baseline.

Source: own.
"""

import math


def compression_report(baseline, compressed):
    for measures in (baseline, compressed):
        for key in ("accuracy", "params", "bytes", "macs"):
            if key not in measures:
                raise ValueError(f"{key!r} is missing, got {sorted(measures)}")
        if not 0 <= measures["accuracy"] <= 1:
            raise ValueError(f"accuracy must be in 0..1, got {measures['accuracy']}")
    report = {"accuracy_drop": baseline["accuracy"] - compressed["accuracy"]}
    for key in ("params", "bytes", "macs"):
        before, after = baseline[key], compressed[key]
        report[f"{key}_ratio"] = after / before if before else math.inf
    return report
