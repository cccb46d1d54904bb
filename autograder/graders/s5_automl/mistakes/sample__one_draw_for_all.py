"""One number is drawn and used for all genes.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def sample(self, generator):
        place = float(torch.rand(1, generator=generator))
        return self.decode([int(place * len(options)) for _, options in self._genes()])
