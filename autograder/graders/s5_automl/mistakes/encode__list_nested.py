"""The genes of a list are a tuple of their own inside the code, which should be flat.

Source: own.
"""

class SearchSpace(SearchSpace):
    def encode(self, arch):
        code = []
        if set(arch) != set(self.choices):
            raise ValueError(f"arch has other names: {list(arch)}")
        for name, options in self.choices.items():
            if self._is_list_valued(name):
                if len(arch[name]) != len(options):
                    raise ValueError(f"{name}: {arch[name]}")
                code.append(tuple(each.index(value) for each, value in zip(options, arch[name])))
            else:
                code.append(options.index(arch[name]))
        return tuple(code)
