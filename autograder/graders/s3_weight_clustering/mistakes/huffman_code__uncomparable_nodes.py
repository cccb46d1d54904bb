"""Equal frequencies make the heap compare the symbols.

Source: curriculum list.
"""

import heapq


def huffman_code(frequencies):
    for symbol, frequency in frequencies.items():
        if frequency < 0:
            raise ValueError(f"frequency of {symbol!r} must not be negative, got {frequency}")
    if len(frequencies) == 1:
        return {symbol: "0" for symbol in frequencies}
    heap = [(frequency, [symbol]) for symbol, frequency in frequencies.items()]
    heapq.heapify(heap)
    words = {symbol: "" for symbol in frequencies}
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in first[1]:
            words[symbol] = "0" + words[symbol]
        for symbol in second[1]:
            words[symbol] = "1" + words[symbol]
        heapq.heappush(heap, (first[0] + second[0], first[1] + second[1]))
    return words
