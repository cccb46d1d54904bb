"""A changed gene always gets the option behind the present one.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        code = list(self.encode(arch))
        for place, (_, options) in enumerate(self._genes()):
            if float(torch.rand(1, generator=generator)) < probability:
                code[place] = (code[place] + 1) % len(options)
        return self.decode(code)
