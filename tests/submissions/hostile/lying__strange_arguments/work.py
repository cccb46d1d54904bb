import torch


def search(function, budget):
    for argument in (float("nan"), 10**200, "x" * 10_000, None, [[]], {}, torch.zeros(0), object(), search):
        try:
            print(function(argument))
        except Exception as error:
            print(repr(error)[:100])
    for call in (lambda: function(), lambda: function(1, 2), lambda: function(lowest=1), lambda: function(self=1)):
        try:
            print(call())
        except Exception as error:
            print(repr(error)[:100])
    return 0
