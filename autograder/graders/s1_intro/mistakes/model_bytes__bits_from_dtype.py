"""An int for bits is ignored: the size of the dtype counts.

Source: own.
"""

from collections.abc import Mapping


def model_bytes(model, bits=32):
    def check(name, width):
        if isinstance(width, bool) or not isinstance(width, int) or not 1 <= width <= 32:
            raise ValueError(f"{name} must be an integer in 1..32, got {width!r}")

    names_of = {}  # parameter -> every name that it has
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names_of.setdefault(parameter, []).append(name)

    if not isinstance(bits, Mapping):
        check("bits", bits)
        bits = {names[0]: 8 * p.element_size() for p, names in names_of.items()}
    known = {name for names in names_of.values() for name in names}
    for name, width in bits.items():
        if name not in known:
            raise ValueError(f"bits names {name!r}, which is no parameter of the model")
        check(f"bits of {name}", width)

    total = 0
    for parameter, names in names_of.items():
        widths = [bits[name] for name in names if name in bits]
        if not widths:
            raise ValueError(f"bits has no entry for {names[0]!r}")
        total += parameter.numel() * widths[0]
    return (total + 7) // 8
