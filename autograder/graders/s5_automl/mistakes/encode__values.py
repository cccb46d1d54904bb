"""The code holds the options themselves, not their indices.

Source: own.
"""

class SearchSpace(SearchSpace):
    def encode(self, arch):
        super().encode(arch)
        code = []
        for name in self.choices:
            code += arch[name] if self._is_list_valued(name) else [arch[name]]
        return tuple(code)
