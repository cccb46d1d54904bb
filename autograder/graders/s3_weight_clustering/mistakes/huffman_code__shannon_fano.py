"""Halving the sorted list from the top (Shannon-Fano) is not optimal.

Source: own.
"""

import itertools


def huffman_code(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    if len(frequencies) == 1:
        return {symbol: "0" for symbol in frequencies}
    words = {symbol: "" for symbol in frequencies}

    def halve(part):
        if len(part) < 2:
            return
        total = sum(frequencies[symbol] for symbol in part)
        cuts = range(1, len(part))
        heads = itertools.accumulate(frequencies[symbol] for symbol in part)
        cut = min(zip(heads, cuts), key=lambda each: abs(2 * each[0] - total))[1]
        for symbol in part[:cut]:
            words[symbol] += "0"
        for symbol in part[cut:]:
            words[symbol] += "1"
        halve(part[:cut])
        halve(part[cut:])

    halve(sorted(frequencies, key=frequencies.get, reverse=True))
    return words
