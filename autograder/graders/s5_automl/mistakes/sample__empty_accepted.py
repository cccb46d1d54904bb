"""A name without options is accepted, and left out or None in what is drawn.

Source: curriculum list.
"""

import torch


class SearchSpace(SearchSpace):
    def __init__(self, choices):
        self.choices = dict(choices)

    def sample(self, generator):
        arch = {}
        for name, options in self.choices.items():
            if self._is_list_valued(name):
                arch[name] = [self._one(each, generator) for each in options]
            else:
                arch[name] = self._one(options, generator)
        return arch

    def _one(self, options, generator):
        if not options:
            return None
        return options[int(torch.randint(len(options), (1,), generator=generator))]
