"""Indices start at 1.

Source: own.
"""

class SearchSpace(SearchSpace):
    def encode(self, arch):
        return tuple(index + 1 for index in super().encode(arch))
