"""The last option of a gene is never drawn: the upper end of randint is excluded already.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def sample(self, generator):
        code = [
            int(torch.randint(max(len(options) - 1, 1), (1,), generator=generator))
            for _, options in self._genes()
        ]
        return self.decode(code)
