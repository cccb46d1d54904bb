"""All words have the same length.

Source: own.
"""


def huffman_code(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    if len(frequencies) == 1:
        return {symbol: "0" for symbol in frequencies}
    width = (len(frequencies) - 1).bit_length() if frequencies else 0
    return {symbol: f"{place:0{width}b}" for place, symbol in enumerate(frequencies)}
