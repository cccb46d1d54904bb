"""Search space: an architecture is a path through a list of (getter, options)."""

import math

import torch


class SearchSpace:
    def __init__(self, choices):
        self.choices = {name: list(options) for name, options in choices.items()}
        self.genes = [
            (name, k, each)
            for name, options in self.choices.items()
            for k, each in (
                enumerate(options)
                if options and isinstance(options[0], list)
                else [(None, options)]
            )
        ]

    def _value(self, arch, name, k):
        return arch[name] if k is None else arch[name][k]

    def _build(self, values):
        arch = {}
        for (name, k, _), value in zip(self.genes, values):
            if k is None:
                arch[name] = value
            else:
                arch[name] = [*arch.get(name, []), value]
        return arch

    def encode(self, arch):
        if set(arch) != set(self.choices):
            raise ValueError(f"unknown or missing names in {list(arch)}")
        try:
            code = tuple(options.index(self._value(arch, n, k)) for n, k, options in self.genes)
        except IndexError:
            raise ValueError("a list is too short") from None
        if self.decode(code) != {n: list(v) if isinstance(v, tuple) else v for n, v in arch.items()}:
            raise ValueError("a list is too long")
        return code

    def decode(self, code):
        if len(tuple(code)) != len(self.genes):
            raise ValueError(f"a code has {len(self.genes)} genes")
        for index, (name, _, options) in zip(code, self.genes):
            if index not in range(len(options)):
                raise ValueError(f"{name}: {index}")
        return self._build([options[i] for i, (_, _, options) in zip(code, self.genes)])

    def sample(self, generator):
        """One number in mixed radix: all architectures are numbered."""
        total = math.prod(len(options) for _, _, options in self.genes)
        if total == 0:
            raise ValueError("the space is empty")
        number = int(torch.randint(total, (), generator=generator))
        values = []
        for _, _, options in self.genes:
            number, index = divmod(number, len(options))
            values.append(options[index])
        return self._build(values)

    def mutate(self, arch, probability, generator):
        if not (0 <= probability <= 1):
            raise ValueError(f"probability {probability}")
        values = []
        for index, (_, _, options) in zip(self.encode(arch), self.genes):
            if torch.bernoulli(torch.tensor(float(probability)), generator=generator):
                step = 1 + int(torch.randint(max(len(options) - 1, 1), (), generator=generator))
                index = (index + step) % len(options)
            values.append(options[index])
        return self._build(values)

    def crossover(self, a, b, generator):
        a_code, b_code = self.encode(a), self.encode(b)
        mask = torch.rand(len(a_code), generator=generator) < 0.5
        return self.decode([x if first else y for x, y, first in zip(a_code, b_code, mask.tolist())])


def satisfies(measured, limits):
    checks = []
    for name, limit in limits.items():
        try:
            checks.append(bool(measured[name] <= limit))
        except KeyError:
            raise ValueError(f"no cost is called {name!r}") from None
    return all(checks)
