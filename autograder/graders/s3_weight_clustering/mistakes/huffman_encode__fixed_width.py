"""Every symbol takes the same number of bits.

Source: own.
"""

import json
from collections import Counter


def huffman_encode(symbols):
    counts = Counter(symbols)
    words = {symbol: "" for symbol in counts}
    width = max((len(words) - 1).bit_length(), 1)
    words = {symbol: f"{place:0{width}b}" for place, symbol in enumerate(words)}
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
            if word in table and len(symbols) < count:
                symbols.append(table[word])
                word = ""
    return symbols
