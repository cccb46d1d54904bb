"""Values that are all the same are refused.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


class MSEObserver:
    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def observe(self, x: Tensor) -> None:
        self.values.append(x.detach().clone())

    def qparams(self, bits: int) -> QParams:
        values = _all_seen(self.values)
        if values.min() == values.max():
            raise ValueError("constant")

        def squared_error(bounds: tuple[float, float]) -> float:
            rounded = fake_quantize(values, affine_params(*bounds, bits), bits)
            return (rounded - values).square().sum().item()

        low, high = (min(values.min().item(), 0.0), max(values.max().item(), 0.0))
        for shrink_low, shrink_high in ((1, 1), (1, 0), (0, 1)):
            ranges = [
                (low * (1 - shrink_low * step / 100), high * (1 - shrink_high * step / 100))
                for step in range(100)
            ]
            low, high = min(ranges, key=squared_error)
        return affine_params(low, high, bits)
