"""Graders of coding.py: relative indices, Huffman's code and its bytes, entropy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.graders.s3_weight_clustering.references import (
    entropy_bits,
    huffman_bits,
    is_prefix_free,
)
from autograder.graders.toolkit import (
    Exercise,
    RandomInputs,
    check,
    close,
    expect_dict,
    expect_float,
    expect_int,
    expect_list,
    expect_str,
    expect_value_error,
    fail,
    round_trips,
)

# ---- relative_index_encode, relative_index_decode --------------------------------------------


def entries_of(gaps: object) -> list[int]:
    """The entries of the student's code as ints; a list or an integer tensor."""
    if isinstance(gaps, Tensor):
        whole = not (gaps.is_floating_point() or gaps.is_complex())
        check(whole and gaps.dim() == 1, "gaps are whole numbers, in one dimension")
        gaps = gaps.tolist()
    return [expect_int(gap, "each gap") for gap in expect_list(gaps, "gaps")]


def bits_of(mask: object) -> list[bool]:
    """The elements of the student's decoded mask; a bool tensor, or a list of bools or 0 and 1."""
    if isinstance(mask, Tensor):
        mask = mask.flatten().tolist()
    values = expect_list(mask, "the decoded mask")
    check(all(value in (0, 1) for value in values), "the decoded mask holds True and False")
    return [bool(value) for value in values]


def expect_round_trip(student: Any, other: Any, hint: str, mask: Tensor, bits: int) -> list[int]:
    """Encode `mask` in one process, decode it in another; return the entries."""
    gaps = student.relative_index_encode(mask, bits)
    entries = entries_of(gaps)
    check(all(0 <= gap < 2**bits for gap in entries), "every entry fits `bits` bits: 0..2^bits - 1")
    decoded = bits_of(other.relative_index_decode(gaps, mask.numel(), bits))
    check(len(decoded) == mask.numel(), "the decoded mask has n elements")
    check(decoded == mask.flatten().tolist(), hint)
    return entries


def mask_at(n: int, *kept: int) -> Tensor:
    """A mask of n with True at the places `kept`."""
    mask = torch.zeros(n, dtype=torch.bool)
    mask[list(kept)] = True
    return mask


relative_index_encode = Exercise("s3.relative_index_encode")


@relative_index_encode.check(weight=3)
def test_masks_come_back(student: Any, rng: RandomInputs) -> None:
    """Masks of any density decode to themselves, in another process."""
    other = student.fresh()
    hint = "the decoded mask differs: count the zeros between two kept weights exactly"
    for bits in (2, 3, 4, 5, 8):
        for density in (0.03, 0.2, 0.6, 0.95):
            mask = rng.uniform(rng.integer(150, 250)) < density
            expect_round_trip(student, other, hint, mask, bits)


@relative_index_encode.check(weight=3)
def test_gaps_around_the_largest_entry(student: Any, rng: RandomInputs) -> None:
    """Gaps just below, at and above what one entry can hold come back exactly."""
    other = student.fresh()
    hint = "a gap that does not fit needs filler entries, which are not kept weights"
    for bits in (1, 2, 3, rng.integer(4, 5)):
        for multiple in (1, 2):
            for shift in (-2, -1, 0, 1, 2):
                gap = multiple * 2**bits + shift
                if gap >= 0:
                    first = rng.integer(0, 3)
                    mask = mask_at(first + gap + 5, first, first + gap + 1, first + gap + 2)
                    expect_round_trip(student, other, hint, mask, bits)


@relative_index_encode.check(weight=2)
def test_zeros_at_both_ends(student: Any, rng: RandomInputs) -> None:
    """Zeros before the first and after the last kept weight come back."""
    other = student.fresh()
    bits = rng.integer(2, 4)
    for before in (0, 1, 2**bits - 1, 2**bits, 5 * 2**bits + 1):
        for after in (0, 1, 2**bits - 1, 2**bits, 5 * 2**bits + 1):
            mask = mask_at(before + 1 + after, before)
            hint = "the first gap starts before place 0, and zeros may follow the last kept weight"
            expect_round_trip(student, other, hint, mask, bits)


@relative_index_encode.check(weight=2)
def test_empty_and_full_masks(student: Any, rng: RandomInputs) -> None:
    """Masks without a kept weight, without a zero, and without an element come back."""
    other = student.fresh()
    for bits in (1, rng.integer(2, 5)):
        for n in (0, 1, 2**bits, rng.integer(50, 80)):
            expect_round_trip(student, other, "nothing kept: all False", mask_at(n), bits)
            everything = torch.ones(n, dtype=torch.bool)
            expect_round_trip(student, other, "everything kept: all True", everything, bits)


@relative_index_encode.check()
def test_masks_are_read_row_by_row(student: Any, rng: RandomInputs) -> None:
    """A mask with several dimensions is coded row by row."""
    other = student.fresh()
    for shape in ((rng.integer(5, 8), rng.integer(9, 12)), (4, 3, 3, 3)):
        mask = rng.uniform(*shape) < 0.3
        expect_round_trip(student, other, "row-major order, as flatten() gives it", mask, 3)


@relative_index_encode.check()
def test_sparse_masks_have_short_codes(student: Any, rng: RandomInputs) -> None:
    """A sparse mask takes about one entry a kept weight and one a filler."""
    other = student.fresh()
    for bits, density in ((4, 0.05), (6, 0.02)):
        mask = rng.uniform(rng.integer(2000, 3000)) < density
        entries = expect_round_trip(student, other, "the decoded mask differs", mask, bits)
        bound = 2 * (int(mask.sum()) + mask.numel() / (2**bits - 1)) + 8
        hint = "far too many entries: store the gaps between kept weights, not the mask"
        check(len(entries) <= bound, hint)


@relative_index_encode.check(weight=0.3)
def test_encoding_leaves_the_mask_alone(student: Any, rng: RandomInputs) -> None:
    """The mask comes back, and the one that was passed in is unchanged."""
    mask = rng.uniform(rng.integer(60, 90)) < 0.3
    live = student.put(mask)
    gaps = student.relative_index_encode(live, 3)
    check(all(0 <= gap < 8 for gap in entries_of(gaps)), "every entry fits `bits` bits")
    decoded = bits_of(student.relative_index_decode(gaps, mask.numel(), 3))
    check(decoded == mask.tolist(), "the decoded mask differs")
    check(torch.equal(student.fetch(live), mask), "the mask was changed in place")


@relative_index_encode.check(weight=0.5, guard=True)
def test_relative_index_refuses_wrong_bits(student: Any, rng: RandomInputs) -> None:
    """Bits outside 1..32 or not whole raise ValueError."""
    mask = rng.uniform(40) < 0.3
    for bits in (0, -rng.integer(1, 5), 33, 2.5):
        expect_value_error(student.relative_index_encode, mask, bits)


# ---- huffman_code ----------------------------------------------------------------------------

Frequencies = Mapping[Any, float]


def expect_code(student: Any, frequencies: Frequencies) -> dict[Any, str]:
    """The student's code, checked: the same symbols, words of bits, prefix-free, optimal."""
    code = expect_dict(student.huffman_code(frequencies), "huffman_code")
    missing = "every symbol gets a word, and nothing else does, those with frequency 0 included"
    check(set(code) == set(frequencies), missing)
    words = {symbol: expect_str(word, "each word") for symbol, word in code.items()}
    check(all(words.values()), "no word may be empty: a single symbol gets one bit")
    check(all(set(word) <= {"0", "1"} for word in words.values()), "words consist of 0 and 1")
    hint = "no word may begin with another one, or decoding is ambiguous"
    check(is_prefix_free(words.values()), hint)
    spent = math.fsum(frequencies[symbol] * len(word) for symbol, word in words.items())
    least = float(huffman_bits(frequencies.values()))
    hint = "a shorter code exists: always merge the two smallest, merged ones included"
    check(spent <= least * (1 + 1e-9), hint)
    return words


def skewed_counts(rng: RandomInputs, symbols: Sequence[Hashable]) -> dict[Hashable, int]:
    """Counts over several orders of magnitude in a random order, all different."""
    counts = [int(1.6**i) + rng.integer(0, 2) + i for i in range(len(symbols))]
    return {symbol: counts[i] for symbol, i in zip(symbols, rng.permutation(len(symbols)).tolist())}


huffman_code = Exercise("s3.huffman_code")


@huffman_code.check(weight=3)
def test_code_is_optimal(student: Any, rng: RandomInputs) -> None:
    """The code is prefix-free and no other one is shorter."""
    for _ in range(4):
        expect_code(student, skewed_counts(rng, range(rng.integer(5, 14))))
        n = rng.integer(3, 30)
        expect_code(student, {i - 5: rng.integer(1, 40) for i in range(n)})
    shares = rng.uniform(rng.integer(6, 12), low=0.01).double()
    expect_code(student, dict(enumerate((shares / shares.sum()).tolist())))


@huffman_code.check(weight=2)
def test_equal_frequencies(student: Any, rng: RandomInputs) -> None:
    """Equal frequencies are no problem, whatever the symbols are."""
    names = ["a", "b", 1, 2, (0, 1), None, "c", -7, ("x", 2)]
    for n in (2, 3, rng.integer(5, 9)):
        symbols = rng.sample(names, n)
        expect_code(student, dict.fromkeys(symbols, rng.integer(1, 9)))
    counts = [1, 1, 2, 2, 4, 4, 8, 8]
    order = rng.permutation(8).tolist()
    expect_code(student, {names[i]: counts[place] for i, place in enumerate(order)})


@huffman_code.check(essential=True, weight=0.5, guard=True)
def test_code_of_one_symbol(student: Any, rng: RandomInputs) -> None:
    """A single symbol gets a word of one bit."""
    for symbol in (rng.integer(-9, 9), "weight"):
        words = expect_code(student, {symbol: rng.integer(1, 99)})
        check(len(words[symbol]) == 1, "one symbol: one bit, so that its number can be told")


@huffman_code.check()
def test_symbols_that_never_occur(student: Any, rng: RandomInputs) -> None:
    """Symbols with frequency 0 get words too."""
    zeros = {f"z{i}": 0 for i in range(rng.integer(1, 4))}
    expect_code(student, {**skewed_counts(rng, range(rng.integer(3, 7))), **zeros})
    expect_code(student, {**zeros, "often": rng.integer(5, 50)})


@huffman_code.check()
def test_deep_and_wide_codes(student: Any, rng: RandomInputs) -> None:
    """Very uneven frequencies and very many symbols are coded as well."""
    expect_code(student, {i: 2**i for i in range(rng.integer(50, 60))})
    expect_code(student, {i: rng.integer(1, 1000) for i in range(rng.integer(1500, 2000))})


@huffman_code.check(weight=0.12, guard=True)
def test_code_of_nothing(student: Any) -> None:
    """Without symbols the code is empty."""
    code = expect_dict(student.huffman_code({}), "huffman_code")
    check(code == {}, "no symbols: an empty dict")


@huffman_code.check()
def test_code_is_deterministic(student: Any, rng: RandomInputs) -> None:
    """The same frequencies give the same words, also in another process."""
    counts = {i: rng.integer(1, 4) for i in range(rng.integer(12, 20))}
    first = expect_code(student, counts)
    hint = "break ties in a fixed way: both sides must build the same code"
    check(expect_code(student, counts) == first, hint)
    check(expect_code(student.fresh(), counts) == first, hint)


@huffman_code.check(weight=0.12, guard=True)
def test_code_leaves_frequencies_alone(student: Any, rng: RandomInputs) -> None:
    """The frequencies that were passed in are not changed."""
    counts = skewed_counts(rng, range(rng.integer(4, 9)))
    ref = student.put(counts)
    student.huffman_code(ref)
    check(student.fetch(ref) == counts, "do not change the frequencies in place")


@huffman_code.check(weight=0.12, guard=True)
def test_code_refuses_negative_frequencies(student: Any, rng: RandomInputs) -> None:
    """A negative frequency raises ValueError."""
    counts = {i: rng.integer(1, 9) for i in range(5)}
    counts[rng.integer(0, 4)] = -rng.integer(1, 5)
    expect_value_error(student.huffman_code, counts)


# ---- huffman_encode, huffman_decode ----------------------------------------------------------


def encoded(student: Any, symbols: list[int]) -> bytes:
    """The student's bytes for `symbols`."""
    data = student.huffman_encode(symbols)
    if not isinstance(data, bytes):
        fail(f"huffman_encode should return bytes, yours is a {type(data).__name__}")
    return data


def expect_decoded(student: Any, other: Any, hint: str, symbols: list[int]) -> bytes:
    """Encode in one process, decode in another that knows nothing; return the bytes."""
    data = encoded(student, symbols)
    expect_symbols(other, data, hint, symbols)
    return data


def expect_symbols(other: Any, data: bytes, hint: str, symbols: list[int]) -> None:
    """Decode `data` in `other`: the symbols that went in."""
    back = expect_list(other.huffman_decode(data), "huffman_decode")
    check(len(back) == len(symbols), f"{hint}; as many symbols as went in")
    check([expect_int(symbol, "each symbol") for symbol in back] == symbols, hint)


def drawn_symbols(rng: RandomInputs, n: int, distinct: int) -> list[int]:
    """n symbols, small ones far more often; all below `distinct`."""
    return [min(int(rng.random.expovariate(0.7)), distinct - 1) for _ in range(n)]


def largest_size(symbols: list[int]) -> float:
    """The bytes that the text allows: entropy and one bit a symbol, header, table."""
    counts = Counter(symbols)
    bits = len(symbols) * (entropy_bits(counts) + 1)
    return bits / 8 + 64 + 24 * len(counts)


huffman_encode = Exercise("s3.huffman_encode")


@huffman_encode.check(weight=3)
def test_symbols_come_back(student: Any, rng: RandomInputs) -> None:
    """Decoding gives the list of symbols, in a process that has nothing but the bytes."""
    other = student.fresh()
    hint = "code table and number of symbols have to be in the bytes"
    for n in (rng.integer(200, 300), rng.integer(1500, 2000)):
        expect_decoded(student, other, hint, drawn_symbols(rng, n, rng.integer(5, 12)))
    uniform = rng.integers(0, 255, rng.integer(500, 900)).tolist()
    expect_decoded(student, other, hint, uniform)


@huffman_encode.check(essential=True, weight=2)
def test_padding_is_not_decoded(student: Any, rng: RandomInputs) -> None:
    """Whatever the number of bits, the bits that fill the last byte are no symbols."""
    other = student.fresh()
    for n in range(1, 18):
        symbols = [rng.integer(0, 1) for _ in range(n)]
        expect_decoded(student, other, "the last byte is filled up: ignore those bits", symbols)
    for n in range(20, 28):
        symbols = drawn_symbols(rng, n, 5)
        expect_decoded(student, other, "the last byte is filled up: ignore those bits", symbols)


@huffman_encode.check(weight=2)
def test_one_symbol_again_and_again(student: Any, rng: RandomInputs) -> None:
    """A list of equal symbols keeps its length."""
    other = student.fresh()
    for n in (1, 2, 8, 9, rng.integer(100, 999)):
        hint = "one symbol: its word must not be empty, or the number of symbols is lost"
        expect_decoded(student, other, hint, [rng.integer(0, 200)] * n)


@huffman_encode.check(weight=2)
def test_any_integers(student: Any, rng: RandomInputs) -> None:
    """Negative and very large symbols come back."""
    other = student.fresh()
    hint = "symbols are any Python ints: negative, beyond 32 and 64 bits"
    small = [rng.integer(-200, 200) for _ in range(60)]
    expect_decoded(student, other, hint, small)
    wide = [rng.choice([-1, 1]) * rng.random.getrandbits(b) for b in (7, 15, 16, 31, 32, 33)]
    expect_decoded(student, other, hint, [*wide, 127, -128, 128, 255, 256, 65535, 2**31, *wide])
    huge = [rng.choice([-1, 1]) * (2**b + rng.integer(0, 9)) for b in (63, 64, 80, 120)]
    expect_decoded(student, other, hint, [*huge, 0, -1, *huge])


@huffman_encode.check(weight=0.88, guard=True)
def test_no_symbols(student: Any) -> None:
    """The empty list comes back."""
    expect_decoded(student, student.fresh(), "no symbols: an empty list", [])


@huffman_encode.check(weight=3)
def test_bytes_are_few(student: Any, rng: RandomInputs) -> None:
    """At most n (H + 1) / 8 + 64 + 24 bytes for each distinct symbol."""
    sizes = ((6000, 4), (6000, rng.integer(8, 12)), (300, 3))
    lists = [drawn_symbols(rng, n, distinct) for n, distinct in sizes]
    rare = [0] * 4000 + rng.integers(1, 9, 40).tolist()
    changed = "the symbols came back changed"
    messages, _ = round_trips(
        student,
        rng,
        encoded,
        lambda other, data, symbols: expect_symbols(other, data, changed, symbols),
        [*lists, rare],
    )
    for symbols, data in zip(lists, messages[:-1], strict=True):
        hint = "too many bytes: pack eight bits of the code into each, keep the table small"
        check(len(data) <= largest_size(symbols), hint)
    check(len(messages[-1]) <= largest_size(rare), "frequent symbols take the short words")


@huffman_encode.check(weight=0.44, guard=True)
def test_encoding_leaves_symbols_alone(student: Any, rng: RandomInputs) -> None:
    """The list that was passed in is not changed."""
    symbols = drawn_symbols(rng, 50, 6)
    ref = student.put(symbols)
    student.huffman_encode(ref)
    check(student.fetch(ref) == symbols, "do not change the list in place")


# ---- entropy ---------------------------------------------------------------------------------


def expect_entropy(student: Any, hint: str, frequencies: Frequencies) -> None:
    """Check one call of the student's entropy."""
    value = expect_float(student.entropy(frequencies), "entropy")
    check(close(value, entropy_bits(frequencies), rtol=1e-6, atol=1e-7), hint)


entropy = Exercise("s3.entropy")


@entropy.check(weight=3)
def test_entropy_of_counts(student: Any, rng: RandomInputs) -> None:
    """Counts give bits a symbol, whatever their total is."""
    for _ in range(4):
        counts = {i: rng.integer(1, 60) for i in range(rng.integer(2, 12))}
        hint = "bits: logarithms to the base 2 of shares, which are counts / total"
        expect_entropy(student, hint, counts)
    expect_entropy(student, "what occurs once counts too", {0: 1, 1: 1, 2: rng.integer(2, 9)})
    equal = dict.fromkeys(["a", "b", "c", "d"], rng.integer(1, 9))
    expect_entropy(student, "2^b equal counts: b bits", equal)


@entropy.check()
def test_entropy_with_zeros(student: Any, rng: RandomInputs) -> None:
    """Symbols that never occur add nothing."""
    counts = {i: rng.integer(1, 60) for i in range(rng.integer(2, 12))}
    expect_entropy(student, "a count of 0 adds 0", {-1: 0, **counts, 99: 0})


@entropy.check(weight=0.15)
def test_entropy_leaves_the_counts_alone(student: Any, rng: RandomInputs) -> None:
    """The entropy is right, and the counts are unchanged, zeros included."""
    counts = {-1: 0, **{i: rng.integer(1, 60) for i in range(rng.integer(3, 9))}, 99: 0}
    live = student.put(counts)
    value = expect_float(student.entropy(live), "entropy")
    check(close(value, entropy_bits(counts), rtol=1e-6, atol=1e-7), "a count of 0 adds 0")
    check(student.fetch(live) == counts, "do not change the counts in place")


@entropy.check(weight=0.29, guard=True)
def test_entropy_without_choice(student: Any, rng: RandomInputs) -> None:
    """One symbol, and no symbol, have entropy 0."""
    expect_entropy(student, "one symbol: nothing is left open", {"a": rng.integer(1, 99)})
    value = expect_float(student.entropy({}), "entropy")
    check(value == 0.0, "no symbols: 0.0")


@entropy.check(weight=0.14, guard=True)
def test_entropy_refuses_negative_frequencies(student: Any, rng: RandomInputs) -> None:
    """A negative frequency raises ValueError."""
    counts = {i: rng.integer(10, 19) for i in range(5)}
    counts[rng.integer(0, 4)] = -rng.integer(1, 5)
    expect_value_error(student.entropy, counts)
