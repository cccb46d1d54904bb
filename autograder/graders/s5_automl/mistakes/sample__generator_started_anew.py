"""Every call seeds the generator again, so that the same architecture is drawn for ever.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def sample(self, generator):
        generator.manual_seed(generator.initial_seed())
        code = [
            int(torch.randint(len(options), (1,), generator=generator)) for _, options in self._genes()
        ]
        return self.decode(code)
