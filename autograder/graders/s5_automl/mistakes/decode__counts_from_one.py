"""Indices are taken as if they started at 1.

Source: own.
"""

class SearchSpace(SearchSpace):
    def decode(self, code):
        super().decode(code)
        genes = self._genes()
        return super().decode([max(i - 1, 0) for i, _ in zip(code, genes)])
