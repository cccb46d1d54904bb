"""Search space, gene by gene."""

import copy

import torch


class SearchSpace:
    def __init__(self, choices):
        self.choices = choices
        self.places = []  # (name, position in its list or None, options)
        for name in choices:
            options = list(choices[name])
            if options and isinstance(options[0], list):
                for position, each in enumerate(options):
                    self.places.append((name, position, each))
            else:
                self.places.append((name, None, options))
        for name, _, options in self.places:
            if len(options) == 0:
                raise ValueError(f"{name} has no options")

    def encode(self, arch):
        if sorted(arch) != sorted(self.choices):
            raise ValueError(f"expected the names {list(self.choices)}, got {list(arch)}")
        code, used = [], 0
        for name, position, options in self.places:
            value = arch[name]
            if position is not None:
                if not isinstance(value, (list, tuple)) or position >= len(value):
                    raise ValueError(f"{name}: the list is too short: {value}")
                value = value[position]
            for index, option in enumerate(options):
                if option == value:
                    code.append(index)
                    break
            else:
                raise ValueError(f"{name}: no option {value!r}")
            used += 1
        total = sum(len(v) if isinstance(v, (list, tuple)) and self._listed(n) else 1 for n, v in arch.items())
        if total != used:
            raise ValueError(f"a list is too long in {arch}")
        return tuple(code)

    def _listed(self, name):
        return any(n == name and p is not None for n, p, _ in self.places)

    def decode(self, code):
        code = list(code)
        if len(code) != len(self.places):
            raise ValueError(f"expected {len(self.places)} genes, got {len(code)}")
        arch = {}
        for index, (name, position, options) in zip(code, self.places):
            if index < 0 or index >= len(options):
                raise ValueError(f"{name}: no option number {index}")
            if position is None:
                arch[name] = options[index]
            else:
                arch.setdefault(name, []).append(options[index])
        return arch

    def sample(self, generator):
        arch = {}
        for name, position, options in self.places:
            value = options[torch.randint(0, len(options), (1,), generator=generator).item()]
            if position is None:
                arch[name] = value
            else:
                arch.setdefault(name, []).append(value)
        return arch

    def mutate(self, arch, probability, generator):
        if probability < 0 or probability > 1:
            raise ValueError(f"probability {probability} is outside 0..1")
        child = copy.deepcopy(arch)
        for name, position, options in self.places:
            if torch.rand(1, generator=generator).item() >= probability:
                continue
            now = child[name] if position is None else child[name][position]
            others = [option for option in options if option != now]
            if not others:
                continue
            new = others[torch.randint(0, len(others), (1,), generator=generator).item()]
            if position is None:
                child[name] = new
            else:
                child[name][position] = new
        return child

    def crossover(self, a, b, generator):
        child = copy.deepcopy(a)
        for name, position, _ in self.places:
            if torch.rand(1, generator=generator).item() < 0.5:
                if position is None:
                    child[name] = copy.deepcopy(b[name])
                else:
                    child[name][position] = b[name][position]
        return child


def satisfies(measured, limits):
    good = True
    for name in limits:
        if name not in measured:
            raise ValueError(f"{name} was not measured; there are {list(measured)}")
        if not measured[name] <= limits[name]:
            good = False
    return good
