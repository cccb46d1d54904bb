"""The half format is bfloat16, not float16.

Source: own.
"""

import copy

import torch


def to_half(model):
    result = copy.deepcopy(model)
    for module in result.modules():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.is_floating_point():
                parameter.data = parameter.data.to(torch.bfloat16)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.to(torch.bfloat16)
    return result
