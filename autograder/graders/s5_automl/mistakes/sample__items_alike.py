"""One number is drawn for all items of a list.

Source: own.
"""

import torch


class SearchSpace(SearchSpace):
    def sample(self, generator):
        code = []
        for name, options in self.choices.items():
            place = float(torch.rand(1, generator=generator))
            items = options if self._is_list_valued(name) else [options]
            code += [int(place * len(each)) for each in items]
        return self.decode(code)
