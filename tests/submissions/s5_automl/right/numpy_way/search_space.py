"""Search space: choices flattened once, NumPy for the codes."""

import numpy as np
import torch


class SearchSpace:
    def __init__(self, choices):
        self.choices = choices
        self.flat, self.shape = [], {}
        for name, options in choices.items():
            if len(options) == 0:
                raise ValueError(f"no options for {name}")
            nested = all(type(o) is list for o in options)
            self.shape[name] = len(options) if nested else 0
            for each in options if nested else [options]:
                if len(each) == 0:
                    raise ValueError(f"no options for {name}")
                self.flat.append(list(each))
        self.sizes = np.array([len(each) for each in self.flat])

    def _flatten(self, arch):
        if set(arch) != set(self.shape):
            raise ValueError(f"names: {set(arch) ^ set(self.shape)}")
        values = []
        for name, count in self.shape.items():
            if count == 0:
                values.append(arch[name])
            elif len(arch[name]) != count:
                raise ValueError(f"{name}: {count} items, got {len(arch[name])}")
            else:
                values.extend(arch[name])
        return values

    def encode(self, arch):
        return tuple(each.index(v) for each, v in zip(self.flat, self._flatten(arch)))

    def decode(self, code):
        code = np.asarray(code, dtype=np.int64)
        if code.shape != self.sizes.shape:
            raise ValueError(f"{len(self.sizes)} genes, got {code.shape}")
        if np.any(code < 0) or np.any(code >= self.sizes):
            raise ValueError(f"indices outside 0..{self.sizes - 1}: {code}")
        values = [each[i] for each, i in zip(self.flat, code)]
        arch, start = {}, 0
        for name, count in self.shape.items():
            arch[name] = values[start : start + count] if count else values[start]
            start += count or 1
        return arch

    def _uniform(self, generator):
        return torch.rand(len(self.sizes), generator=generator, dtype=torch.float64).numpy()

    def _draw(self, generator):
        return np.minimum((self._uniform(generator) * self.sizes).astype(int), self.sizes - 1)

    def sample(self, generator):
        return self.decode(self._draw(generator))

    def mutate(self, arch, probability, generator):
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"probability: {probability}")
        changes = self._uniform(generator) < probability
        return self.decode(np.where(changes, self._draw(generator), self.encode(arch)))

    def crossover(self, a, b, generator):
        """One point: the beginning of one, the end of the other."""
        x, y = np.array(self.encode(a)), np.array(self.encode(b))
        cut = torch.randint(0, len(x) + 1, (1,), generator=generator).item()
        return self.decode(np.concatenate([x[:cut], y[cut:]]))


def satisfies(measured, limits):
    missing = limits.keys() - measured.keys()
    if missing:
        raise ValueError(f"limits of unknown costs: {missing}")
    names = list(limits)
    values = np.array([measured[n] for n in names], dtype=float)
    return bool(np.all(values <= np.array([limits[n] for n in names], dtype=float)))
