"""The parent itself is changed and returned.

Source: curriculum list.
"""

class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        arch.update(super().mutate(arch, probability, generator))
        return arch
