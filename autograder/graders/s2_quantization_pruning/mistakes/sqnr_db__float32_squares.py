"""Squares in float32 vanish for small numbers.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def sqnr_db(reference: Tensor, approximation: Tensor) -> float:
    check_shape("approximation", approximation, *reference.shape)
    exact = reference.detach()
    signal = exact.square().sum().item()
    noise = (exact - approximation.detach()).square().sum().item()
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
