"""Only linear layers and convolutions are converted (source: own)."""

import copy

import torch


def to_half(model):
    result = copy.deepcopy(model)
    kinds = torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d
    for module in result.modules():
        if not isinstance(module, kinds):
            continue
        for parameter in module._parameters.values():
            if parameter is not None and parameter.is_floating_point():
                parameter.data = parameter.data.to(torch.float16)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.to(torch.float16)
    return result
