"""A probability below 0 or above 1 is accepted.

Source: own.
"""

class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        return super().mutate(arch, min(max(probability, 0.0), 1.0), generator)
