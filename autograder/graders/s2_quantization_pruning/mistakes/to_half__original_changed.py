"""The model that was passed in is converted itself.

Source: own.
"""

import torch


def to_half(model):
    result = model
    for module in result.modules():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.is_floating_point():
                parameter.data = parameter.data.to(torch.float16)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.to(torch.float16)
    return result
