"""A code with too many or too few genes is accepted: what is left over is ignored, what is missing
counts as 0.

Source: own.
"""

class SearchSpace(SearchSpace):
    def decode(self, code):
        count = len(self._genes())
        return super().decode((list(code) + [0] * count)[:count])
