"""Running statistics and other buffers stay in float32.

Source: own.
"""

import copy

import torch


def to_half(model):
    result = copy.deepcopy(model)
    for module in result.modules():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.is_floating_point():
                parameter.data = parameter.data.to(torch.float16)
    return result
