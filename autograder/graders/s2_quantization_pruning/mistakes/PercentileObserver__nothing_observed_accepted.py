"""Parameters are given before anything was observed.

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
        values = (_all_seen(self.values) if self.values else torch.zeros(1)).numpy()
        low, high = np.percentile(values, [100 - self.p, self.p]).tolist()
        return affine_params(low, high, bits)
