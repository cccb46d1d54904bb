"""At most one gene of an architecture changes.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        code, genes = list(self.encode(arch)), self._genes()
        if float(torch.rand(1, generator=generator)) < probability:
            place = int(torch.randint(len(code), (1,), generator=generator))
            code[place] = int(torch.randint(len(genes[place][1]), (1,), generator=generator))
        return self.decode(code)
