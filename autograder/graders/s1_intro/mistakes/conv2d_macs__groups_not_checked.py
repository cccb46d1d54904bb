"""A group count that does not divide the channels is accepted.

Source: own.
"""


def conv2d_macs(
    in_channels, out_channels, kernel, input_hw, stride=1, padding=0, dilation=1, groups=1
):
    def pair(value, least):
        both = (value, value) if isinstance(value, int) else tuple(value)
        if len(both) != 2 or any(not isinstance(v, int) or v < least for v in both):
            raise ValueError(f"expected an int or a pair of at least {least}, got {value!r}")
        return both

    if min(in_channels, out_channels, groups) < 1:
        raise ValueError(f"channels and groups: {in_channels}, {out_channels}, {groups}")
    kernel, size, stride = pair(kernel, 1), pair(input_hw, 1), pair(stride, 1)
    padding, dilation = pair(padding, 0), pair(dilation, 1)

    macs = out_channels * (in_channels // groups)
    for axis in range(2):
        window = dilation[axis] * (kernel[axis] - 1) + 1
        outputs = (size[axis] + 2 * padding[axis] - window) // stride[axis] + 1
        if outputs < 1:
            raise ValueError(f"input_hw is too small for the kernel: {input_hw!r}")
        macs *= kernel[axis] * outputs
    return macs
