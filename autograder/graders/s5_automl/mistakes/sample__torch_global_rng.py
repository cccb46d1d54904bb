"""The options are drawn by torch's global generator: `generator` is not passed on.

Source: curriculum list.
"""

import torch


class SearchSpace(SearchSpace):
    def sample(self, generator):
        code = [int(torch.randint(len(options), (1,))) for _, options in self._genes()]
        return self.decode(code)
