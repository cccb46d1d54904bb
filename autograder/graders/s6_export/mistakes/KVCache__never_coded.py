"""Nothing is coded: all tokens stay as they are.

Source: own.
"""

class KVCache:

    def __init__(self, bits: int, residual: int) -> None:
        check_bits("bits", bits, maximum=8)
        check_int("residual", residual, 1)
        self._bits, self._residual = bits, residual
        self._waiting: list[tuple[Tensor, Tensor]] = []  # (keys, values) of a token, (heads, dim)
        self._coded: list[tuple[Tensor, Tensor]] = []  # of a group, (residual, heads, dim)

    def append(self, k: Tensor, v: Tensor) -> None:
        if k.shape != v.shape or k.dim() != 3:
            raise refuse("k, v", "one shape (tokens, heads, dim)", (tuple(k.shape), tuple(v.shape)))
        known = next((group[0].shape[-2:] for group in (*self._coded, *self._waiting)), None)
        if known is not None and k.shape[1:] != known:
            raise refuse("k", f"(tokens, {known[0]}, {known[1]})", tuple(k.shape))
        self._waiting += [(key.clone(), value.clone()) for key, value in zip(k, v)]
        while len(self._waiting) >= self._residual:
            group = self._waiting[: self._residual]
            self._waiting = self._waiting[self._residual :]
            keys, values = map(torch.stack, zip(*group))
            coded = keys, values
            self._coded.append(coded)

    def _in_few_bits(self, x: Tensor, dim: int) -> Tensor:
        low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
        scale = (high - low) / (2**self._bits - 1)
        codes = torch.where(scale > 0, (x - low) / scale, 0.0).round()
        return codes * scale + low

    def attend(self, q: Tensor) -> Tensor:
        waiting = [(key[None], value[None]) for key, value in self._waiting]
        if not (groups := [*self._coded, *waiting]):
            raise ValueError("q: expected tokens to attend to, the cache is empty")
        keys, values = (torch.cat(parts) for parts in zip(*groups))
        check_shape("q", q, *keys.shape[1:])
        scores = torch.einsum("hd,thd->ht", q, keys) / math.sqrt(q.shape[1])
        return torch.einsum("ht,thd->hd", scores.softmax(dim=1), values)

    @property
    def nbytes(self) -> int:
        heads, dim = next((g[0].shape[-2:] for g in (*self._coded, *self._waiting)), (0, 0))
        groups = len(self._coded)
        tokens = groups * self._residual
        codes = -(-2 * tokens * heads * dim * self._bits // 8)
        halves = 2 * groups * heads * dim + 2 * tokens * heads  # scales and minima
        halves += 2 * len(self._waiting) * heads * dim
        return codes + 2 * halves
