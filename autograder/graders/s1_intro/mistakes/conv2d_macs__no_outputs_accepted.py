"""A layer without output channels is counted instead of refused.

Source: one-line mutants that survived, and misses of corpora from outside.
"""


def conv2d_macs(
    in_channels: int,
    out_channels: int,
    kernel: Pair,
    input_hw: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> int:
    check_int("in_channels", in_channels, 1)
    check_int("groups", groups, 1)
    if in_channels % groups or out_channels % groups:
        raise refuse("groups", f"a divisor of {in_channels} and {out_channels}", groups)
    kernel_hw = check_pair("kernel", kernel)
    out_h, out_w = (
        (size + 2 * pad - spacing * (k - 1) - 1) // step + 1
        for size, k, step, pad, spacing in zip(
            check_pair("input_hw", input_hw),
            kernel_hw,
            check_pair("stride", stride),
            check_pair("padding", padding, minimum=0),
            check_pair("dilation", dilation),
        )
    )
    if out_h < 1 or out_w < 1:
        raise refuse("input_hw", "at least the kernel's window", input_hw)
    products = in_channels // groups * kernel_hw[0] * kernel_hw[1]
    return out_channels * out_h * out_w * products
