"""The genes of a list are read from its end.

Source: own.
"""

class SearchSpace(SearchSpace):
    def decode(self, code):
        super().decode(code)
        arch, left = {}, list(code)
        for name, options in self.choices.items():
            if self._is_list_valued(name):
                items = [left.pop(0) for _ in options][::-1]
                arch[name] = [each[index % len(each)] for each, index in zip(options, items)]
            else:
                arch[name] = options[left.pop(0)]
        return arch
