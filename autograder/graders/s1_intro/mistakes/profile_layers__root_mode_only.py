"""One mode, that of the root, is put back for all submodules.

Source: curriculum list.
"""

import torch
from shared.records import LayerCost
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode


def profile_layers(model, input_shape):
    if not input_shape or min(input_shape) < 1:
        raise ValueError(f"input_shape must hold positive sizes, got {input_shape!r}")
    names = {module: name for name, module in model.named_modules()}
    mode = model.training
    rows, running = [], []  # a row: [name, kind, params, macs, out_shape]

    class CountProducts(TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            output = operator(*args, **(kwargs or {}))
            kind = operator.overloadpacket.__name__
            macs = 0
            if kind == "convolution":
                grid = args[0] if args[6] else output  # args[6]: transposed
                macs = grid.numel() * args[1].shape[1:].numel()
            elif kind in ("mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv"):
                macs = output.numel() * args[-2].shape[-1]
            if macs and running:
                running[-1][3] += macs
            elif macs:  # a product outside every layer
                rows.append(["", kind, 0, macs, tuple(output.shape)])
            return output

    def before(module, args):
        params = sum(p.numel() for p in module.parameters())
        rows.append([names[module], type(module).__name__, params, 0, ()])
        running.append(rows[-1])

    def after(module, args, output):
        running.pop()[4] = tuple(output.shape)

    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    inputs = torch.zeros(tuple(input_shape), dtype=like.dtype, device=like.device)
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    handles = []
    try:
        for module in names:
            if not list(module.children()):
                handles.append(module.register_forward_pre_hook(before))
                handles.append(module.register_forward_hook(after))
        torch.backends.mha.set_fastpath_enabled(False)
        model.eval()
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), CountProducts():
            model(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
        for handle in handles:
            handle.remove()
        model.train(mode)
    return [
        LayerCost(name, kind, params, macs // input_shape[0], shape)
        for name, kind, params, macs, shape in rows
    ]
