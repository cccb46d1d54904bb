"""A tiny range is taken for an empty one.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def affine_params(
    low: float, high: float, bits: int, symmetric: bool = False, signed: bool = True
) -> QParams:
    check_bits("bits", bits, minimum=2)
    low, high = (float(low), float(high))
    if not math.isfinite(high - low):
        raise refuse("low and high", "finite numbers", (low, high))
    if low > high:
        raise refuse("low", f"at most high {high}", low)
    if symmetric and (not signed):
        raise refuse("signed", "True where symmetric is", signed)
    qmin, qmax = quantization_range(bits, signed)
    low, high = (min(low, 0.0), max(high, 0.0))
    if high - low < 1e-12:
        return QParams(1.0, 0)
    if symmetric:
        return QParams(max(-low, high) / qmax or 1.0, 0)
    scale = (high - low) / (qmax - qmin) or 1.0
    return QParams(scale, min(max(round(qmin - low / scale), qmin), qmax))
