"""The child is a copy of the first parent.

Source: own.
"""

class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        return self.decode(self.encode(a))
