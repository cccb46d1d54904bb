"""A rounded uniform number gives the first and the last option half the chance of the others.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def sample(self, generator):
        code = [
            round(float(torch.rand(1, generator=generator)) * (len(options) - 1))
            for _, options in self._genes()
        ]
        return self.decode(code)
