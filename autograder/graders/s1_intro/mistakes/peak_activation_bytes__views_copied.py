"""Views and in-place results are counted as tensors of their own.

Source: own.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_activation_bytes(model, input_shape):
    if not input_shape or min(input_shape) < 1:
        raise ValueError(f"input_shape must hold positive sizes, got {input_shape!r}")
    excluded = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept, sizes = [], {}  # tensors stay alive, so that no address is used twice

    def storages(*values):
        keys = []
        for tensor in tree_leaves(values):
            if isinstance(tensor, torch.Tensor):
                if tensor.untyped_storage().data_ptr() not in excluded:
                    key = id(tensor)
                    kept.append(tensor)
                    sizes[key] = tensor.numel() * tensor.element_size()
                    keys.append(key)
        return keys

    steps = []  # for each operator: the storages that it reads, and those that it writes

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            output = operator(*args, **(kwargs or {}))
            steps.append((storages(args, kwargs), storages(output)))
            return output

    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    inputs = torch.zeros(tuple(input_shape), dtype=like.dtype, device=like.device)
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with torch.no_grad(), Record():
            output = model(inputs)
    finally:
        for module, mode in modes.items():
            module.training = mode

    needed = set(storages(output))
    peak = sum(sizes[key] for key in needed)
    for reads, writes in reversed(steps):
        # A further output that nothing reads (the indices of max pooling) is a workspace.
        results = {key for key in writes if key == writes[0] or key in needed}
        live = needed | set(reads) | results
        peak = max(peak, sum(sizes[key] for key in live))
        needed = (needed - set(writes)) | set(reads)
    return peak
