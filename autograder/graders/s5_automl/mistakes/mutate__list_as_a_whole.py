"""A list changes as a whole: one draw decides for all of its items.

Source: curriculum list.
"""

import torch


class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        other = self.sample(generator)
        child = self.decode(self.encode(arch))
        for name in self.choices:
            if float(torch.rand(1, generator=generator)) < probability:
                child[name] = other[name]
        return child
