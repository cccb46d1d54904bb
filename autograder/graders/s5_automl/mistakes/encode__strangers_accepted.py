"""An option that the space does not have gets the index -1.

Source: own.
"""

class SearchSpace(SearchSpace):
    def encode(self, arch):
        code = []
        if set(arch) != set(self.choices):
            raise ValueError(f"arch has other names: {list(arch)}")
        for name, options in self.choices.items():
            listed = self._is_list_valued(name)
            known, values = (options, arch[name]) if listed else ([options], [arch[name]])
            if len(known) != len(values):
                raise ValueError(f"{name}: {arch[name]}")
            code += [k.index(v) if v in k else -1 for k, v in zip(known, values)]
        return tuple(code)
