"""An index that is too large starts again from the first option.

Source: own.
"""

class SearchSpace(SearchSpace):
    def decode(self, code):
        genes = self._genes()
        if len(code) != len(genes) or min(code) < 0:
            raise ValueError(f"code: expected {len(genes)} indices, got {code}")
        return super().decode([i % len(o) for i, (_, o) in zip(code, genes)])
