"""The layer is pruned by more than max_action when the target is out of reach.

Source: own.
"""

import math


def amc_bound_action(action, layer, macs, previous, target, max_action, channels, round_to=1):
    for name, share in (("action", action), ("target", target), ("max_action", max_action)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}: expected a share, got {share}")
    if not 0 <= layer < len(macs) or len(channels) != len(macs) or len(previous) != layer:
        raise ValueError(f"lengths do not fit layer {layer}")

    def fewest(index):
        kept = math.ceil(channels[index] * (1 - max_action) / round_to - 1e-9) * round_to
        return min(kept, channels[index])

    removed = sum(share * cost for share, cost in zip(previous, macs))
    later = sum(
        (1 - fewest(index) / channels[index]) * macs[index]
        for index in range(layer + 1, len(macs))
    )
    duty = (target * sum(macs) - removed - later) / macs[layer]
    wanted = channels[layer] * (1 - max(action, duty))
    kept = math.floor(wanted / round_to + 1e-9) * round_to
    return 1 - max(kept, 0) / channels[layer]
