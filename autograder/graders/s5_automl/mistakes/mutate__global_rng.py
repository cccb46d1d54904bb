"""Whether a gene changes is drawn by Python's global generator.

Source: curriculum list.
"""

import random


class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        code = list(self.encode(arch))
        for place, (_, options) in enumerate(self._genes()):
            if random.random() < probability:
                code[place] = random.randrange(len(options))
        return self.decode(code)
