"""The tolerance is relative to `a`, not to the reference `b`.

Source: own.
"""

def compare_outputs(a: Array, b: Array, rtol: float, atol: float) -> Comparison:
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"a, b: expected one shape (N, C), got {first.shape} and {second.shape}")
    difference = np.abs(first - second)
    return Comparison(
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        argmax_agreement=float(np.mean(first.argmax(axis=1) == second.argmax(axis=1))),
        close=bool(np.allclose(second, first, rtol=rtol, atol=atol)),
    )
