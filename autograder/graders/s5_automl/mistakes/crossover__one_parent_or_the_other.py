"""All genes come from one parent, which is drawn.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        parent = a if float(torch.rand(1, generator=generator)) < 0.5 else b
        return self.decode(self.encode(parent))
