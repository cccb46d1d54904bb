"""The child has the mean index of its parents, an option that neither of them may have.

Source: own.
"""

class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        return self.decode([(x + y) // 2 for x, y in zip(self.encode(a), self.encode(b))])
