"""The bits that fill the last byte are decoded as symbols.

Source: curriculum list.
"""

import heapq
import json
from collections import Counter


def huffman_encode(symbols):
    counts = Counter(symbols)
    words = {symbol: "" for symbol in counts}
    heap = [(count, place, [symbol]) for place, (symbol, count) in enumerate(counts.items())]
    heapq.heapify(heap)
    if len(words) == 1:
        words = {symbol: "0" for symbol in words}
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in first[2]:
            words[symbol] = "0" + words[symbol]
        for symbol in second[2]:
            words[symbol] = "1" + words[symbol]
        heapq.heappush(heap, (first[0] + second[0], first[1], first[2] + second[2]))
    table = {word: symbol for symbol, word in words.items()}
    head = json.dumps([len(symbols), table], separators=(",", ":")).encode()
    bits = "".join([words[symbol] for symbol in symbols])
    bits += "0" * (-len(bits) % 8)
    body = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    return len(head).to_bytes(4, "big") + head + body


def huffman_decode(data):
    start = 4 + int.from_bytes(data[:4], "big")
    count, table = json.loads(data[4:start])
    symbols, word = [], ""
    for byte in data[start:]:
        for bit in f"{byte:08b}":
            word += bit
            if word in table:
                symbols.append(table[word])
                word = ""
    return symbols
