"""What should be a list is a tuple.

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
                arch[name] = tuple(each[left.pop(0)] for each in options)
            else:
                arch[name] = options[left.pop(0)]
        return arch
