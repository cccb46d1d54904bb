"""Only a single gene comes from the second parent.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        code, other = list(self.encode(a)), self.encode(b)
        place = int(torch.randint(len(code), (1,), generator=generator))
        code[place] = other[place]
        return self.decode(code)
