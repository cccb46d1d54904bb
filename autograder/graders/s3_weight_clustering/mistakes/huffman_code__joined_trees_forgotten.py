"""A joined tree counts with the larger of its two frequencies, not with the sum.

Source: own.
"""

import heapq
import itertools


def huffman_code(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    if len(frequencies) == 1:
        return {symbol: "0" for symbol in frequencies}
    number = itertools.count()
    heap = [(frequency, next(number), [symbol]) for symbol, frequency in frequencies.items()]
    heapq.heapify(heap)
    words = {symbol: "" for symbol in frequencies}
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in first[2]:
            words[symbol] = "0" + words[symbol]
        for symbol in second[2]:
            words[symbol] = "1" + words[symbol]
        heapq.heappush(heap, (max(first[0], second[0]), next(number), first[2] + second[2]))
    return words
