"""Which parent gives a gene is drawn by Python's global generator.

Source: curriculum list.
"""

import random


class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        return self.decode([random.choice(pair) for pair in zip(self.encode(a), self.encode(b))])
