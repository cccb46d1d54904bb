"""Values that are all the same are refused.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


class PercentileObserver:
    def __init__(self, p: float = 99.9) -> None:
        check_number("p", p, 50, 100)
        self.p = p
        self.values: list[Tensor] = []

    def observe(self, x: Tensor) -> None:
        self.values.append(x.detach().cpu().clone())

    def qparams(self, bits: int) -> QParams:
        values = _all_seen(self.values).numpy()
        if values.min() == values.max():
            raise ValueError("constant")
        low, high = np.percentile(values, [100 - self.p, self.p]).tolist()
        return affine_params(low, high, bits)
