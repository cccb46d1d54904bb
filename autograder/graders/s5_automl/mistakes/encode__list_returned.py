"""The code is a list, which can be no key of a dict: a tuple is asked for.

Source: own.
"""

class SearchSpace(SearchSpace):
    def encode(self, arch):
        return list(super().encode(arch))
