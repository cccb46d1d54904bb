"""Values are clamped to the range but not rounded to the grid.

Source: own.
"""

import torch


def fake_quantize(x, qparams, bits, signed=True):
    if not isinstance(bits, int) or not 1 <= bits <= 32:
        raise ValueError(f"bits must be an integer in 1..32, got {bits!r}")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    scale, zero_point = float(qparams.scale), int(qparams.zero_point)

    class StraightThrough(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            codes = x.double() / scale + zero_point
            ctx.save_for_backward((codes >= low) & (codes <= high))
            return ((codes.clamp(low, high) - zero_point) * scale).to(x.dtype)

        @staticmethod
        def backward(ctx, gradient):
            (inside,) = ctx.saved_tensors
            return gradient * inside.to(gradient.dtype)

    return StraightThrough.apply(x)
