"""Values that are all the same are refused.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


class MinMaxObserver:
    def __init__(self) -> None:
        self.low, self.high = (math.inf, -math.inf)

    def observe(self, x: Tensor) -> None:
        low, high = x.detach().aminmax()
        self.low, self.high = (min(self.low, low.item()), max(self.high, high.item()))

    def qparams(self, bits: int) -> QParams:
        if self.low == self.high:
            raise ValueError("constant")
        return affine_params(self.low, self.high, bits)
