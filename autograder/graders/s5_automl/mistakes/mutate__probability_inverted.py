"""Genes are kept, not changed, with the given probability.

Source: own.
"""

class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        return super().mutate(arch, 1 - probability, generator)
