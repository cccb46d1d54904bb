"""A list that comes wholly from the first parent is that parent's own list.

Source: curriculum list.
"""

class SearchSpace(SearchSpace):
    def crossover(self, a, b, generator):
        child = super().crossover(a, b, generator)
        for name in self.choices:
            if self._is_list_valued(name) and child[name] == a[name]:
                child[name] = a[name]
        return child
