"""All items of a list are looked up in the options of its first item.

Source: own.
"""

class SearchSpace(SearchSpace):
    def decode(self, code):
        sizes = [len(options) for _, options in self._genes()]
        if len(code) != len(sizes) or any(not 0 <= i < n for i, n in zip(code, sizes)):
            raise ValueError(f"code: {code}")
        arch, left = {}, list(code)
        for name, options in self.choices.items():
            if self._is_list_valued(name):
                arch[name] = [options[0][left.pop(0) % len(options[0])] for _ in options]
            else:
                arch[name] = options[left.pop(0)]
        return arch
