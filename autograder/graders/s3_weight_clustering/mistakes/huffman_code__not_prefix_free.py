"""Words are the binary numbers by frequency, so that one begins another.

Source: own.
"""


def huffman_code(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    if len(frequencies) == 1:
        return {symbol: "0" for symbol in frequencies}
    order = sorted(frequencies, key=frequencies.get, reverse=True)
    return {symbol: f"{place:b}" for place, symbol in enumerate(order)}
