"""The options are drawn by Python's global generator.

Source: curriculum list.
"""

import random


class SearchSpace(SearchSpace):
    def sample(self, generator):
        return self.decode([random.randrange(len(options)) for _, options in self._genes()])
