"""One draw decides for all genes whether they change.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        if float(torch.rand(1, generator=generator)) < probability:
            return self.sample(generator)
        return self.decode(self.encode(arch))
