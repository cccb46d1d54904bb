"""The copy is a shallow one: a list that mutates is the parent's own.

Source: curriculum list.
"""

import torch


class SearchSpace(SearchSpace):
    def mutate(self, arch, probability, generator):
        if not 0 <= probability <= 1:
            raise ValueError(f"probability: expected 0..1, got {probability}")
        child = dict(arch)
        for name, options in self.choices.items():
            if self._is_list_valued(name):
                for place, each in enumerate(options):
                    if float(torch.rand(1, generator=generator)) < probability:
                        child[name][place] = each[
                            int(torch.randint(len(each), (1,), generator=generator))
                        ]
            elif float(torch.rand(1, generator=generator)) < probability:
                child[name] = options[int(torch.randint(len(options), (1,), generator=generator))]
        return child
