"""The names are taken in alphabetical order, not in that of choices.

Source: own.
"""

class SearchSpace(SearchSpace):
    def encode(self, arch):
        code = []
        if set(arch) != set(self.choices):
            raise ValueError(f"arch has other names: {list(arch)}")
        for name in sorted(self.choices):
            options = self.choices[name]
            if self._is_list_valued(name):
                if len(arch[name]) != len(options):
                    raise ValueError(f"{name}: {arch[name]}")
                code += [each.index(value) for each, value in zip(options, arch[name])]
            else:
                code.append(options.index(arch[name]))
        return tuple(code)
