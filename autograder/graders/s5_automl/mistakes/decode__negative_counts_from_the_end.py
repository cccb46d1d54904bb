"""A negative index counts from the end, as Python's lists do.

Source: own.
"""

class SearchSpace(SearchSpace):
    def decode(self, code):
        genes = self._genes()
        if len(code) != len(genes):
            raise ValueError(f"code: expected {len(genes)} indices, got {len(code)}")
        if any(index >= len(options) for index, (_, options) in zip(code, genes)):
            raise ValueError(f"code: too large an index in {code}")
        return super().decode([i % len(o) for i, (_, o) in zip(code, genes)])
