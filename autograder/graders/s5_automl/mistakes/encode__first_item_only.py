"""Of a list only the first item becomes a gene.

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
                found = [each.index(value) for each, value in zip(options, arch[name])]
                code.append(found[0])
            else:
                code.append(options.index(arch[name]))
        return tuple(code)
