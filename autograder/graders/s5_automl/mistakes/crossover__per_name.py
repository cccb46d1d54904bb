"""A list comes from one parent as a whole: genes are mixed name by name.

Source: curriculum list.
"""

import torch


class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        self.encode(a), self.encode(b)
        child = {}
        for name in self.choices:
            parent = a if float(torch.rand(1, generator=generator)) < 0.5 else b
            child[name] = list(parent[name]) if isinstance(parent[name], list) else parent[name]
        return child
