"""Graders of search_space.py: architectures, genes, and how one becomes another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from autograder.graders.common import remote_generator
from autograder.graders.s5_automl.references import Architecture, ReferenceSpace
from autograder.graders.toolkit import (
    Exercise,
    Handle,
    RandomInputs,
    StudentError,
    agreements,
    case,
    check,
    expect_bool,
    expect_dict,
    expect_value_error,
    fail,
)
from shared.spaces import SharedLists

NAMES = ("kernel", "depth", "act", "norm", "stride", "groups", "pool", "skip", "lr", "head")
KINDS: tuple[Callable[[int], Any], ...] = (
    lambda number: 2 * number + 3,
    lambda number: f"option{number}",
    lambda number: number / 8 + 0.5,
)


def options(rng: RandomInputs, count: int) -> list[Any]:
    """Different values of one type in no order."""
    kind = rng.choice(KINDS)
    return [kind(number) for number in rng.sample(range(12), count)]


def plain_space(rng: RandomInputs, *counts: int) -> ReferenceSpace:
    """A space without lists, with so many options for each name."""
    names = rng.sample(NAMES, len(counts))
    return ReferenceSpace({name: options(rng, n) for name, n in zip(names, counts, strict=True)})


def listed_space(rng: RandomInputs) -> ReferenceSpace:
    """A space with two lists between plain names; their items have options of their own."""
    names = rng.sample(NAMES, 4)
    return ReferenceSpace(
        {
            names[0]: options(rng, rng.integer(2, 4)),
            names[1]: [options(rng, n) for n in (2, 4, 3)],
            names[2]: options(rng, rng.integer(2, 4)),
            names[3]: [options(rng, n) for n in (3, 2)],
        }
    )


def one_list(rng: RandomInputs, genes: int, count: int) -> ReferenceSpace:
    """A space that is a single list, whose items have the same options."""
    shared = options(rng, count)
    return ReferenceSpace({rng.choice(NAMES): [list(shared) for _ in range(genes)]})


def new_space(student: Any, space: ReferenceSpace) -> Handle:
    """The student's search space of the same choices."""
    made = student.SearchSpace(space.choices)
    if not isinstance(made, Handle):
        fail("SearchSpace(choices) should be an object with the methods encode, decode, …")
    return made


def code_of(space: ReferenceSpace, value: object, name: str) -> tuple[int, ...]:
    """The genes of what should be an architecture of the space."""
    arch = expect_dict(value, name, list(space.choices))
    try:
        return space.encode(arch)
    except (ValueError, TypeError):
        fail(f"{name} should give each name one of its own options, and each list its items")


# ---- encode ----------------------------------------------------------------------------------


def expect_code(student: Any, made: Handle, arch: Architecture, code: tuple[int, ...]) -> None:
    """The student's encode gives this code."""
    value = student.invoke(made, "encode", arch)
    whole = isinstance(value, tuple) and all(type(each) is int for each in value)
    check(whole, "encode returns a tuple of ints")
    check(value == code, "the index of each option, in the order of choices, lists item by item")


encode = Exercise("s5.encode")


@encode.check(weight=3, essential=True)
def test_encode_gives_indices(student: Any, rng: RandomInputs) -> None:
    """An architecture becomes the indices of its options."""
    space = plain_space(rng, 4, 3, 5, 2)
    made = new_space(student, space)
    for _ in range(6):
        arch = space.sample(rng.random)
        expect_code(student, made, arch, space.encode(arch))


@encode.check(weight=3)
def test_encode_flattens_lists(student: Any, rng: RandomInputs) -> None:
    """The items of a list are genes, each with the options of its place."""
    space = listed_space(rng)
    made = new_space(student, space)
    for _ in range(6):
        arch = space.sample(rng.random)
        expect_code(student, made, arch, space.encode(arch))


@encode.check(weight=2)
def test_encode_follows_the_choices(student: Any, rng: RandomInputs) -> None:
    """The order of the names in choices decides, not that in the architecture or the alphabet."""
    for space in (plain_space(rng, 3, 4, 3, 4, 3), listed_space(rng)):
        made = new_space(student, space)
        for _ in range(3):
            arch = space.sample(rng.random)
            shuffled = {name: arch[name] for name in rng.sample(list(arch), len(arch))}
            expect_code(student, made, shuffled, space.encode(arch))


@encode.check(weight=0.8, guard=True)
def test_encode_refuses_strangers(student: Any, rng: RandomInputs) -> None:
    """What is no architecture of the space raises ValueError."""
    space = listed_space(rng)
    made = new_space(student, space)
    plain, listed, _, last = space.choices
    arch = space.sample(rng.random)
    wrong = [
        arch | {plain: "unknown"},
        {name: arch[name] for name in arch if name != plain},
        arch | {"another": 1},
        arch | {listed: [*arch[listed][:-1], "unknown"]},
        arch | {listed: arch[listed][:-1]},
        arch | {last: arch[last][:-1]},
        arch | {last: [*arch[last], arch[last][0]]},
    ]
    for each in wrong:
        expect_value_error(lambda each=each: student.invoke(made, "encode", each))


# ---- decode ----------------------------------------------------------------------------------

decode = Exercise("s5.decode")


def expect_arch(student: Any, made: Handle, space: ReferenceSpace, code: Sequence[int]) -> None:
    """The student's decode gives the architecture of this code."""
    value = student.invoke(made, "decode", tuple(code))
    code_of(space, value, "decode")
    check(value == space.decode(code), "each index picks an option of its own gene")


@decode.check(weight=3, essential=True)
def test_decode_gives_options(student: Any, rng: RandomInputs) -> None:
    """Indices become the options at these places."""
    space = plain_space(rng, 4, 3, 5, 2)
    made = new_space(student, space)
    for _ in range(6):
        expect_arch(student, made, space, space.encode(space.sample(rng.random)))


@decode.check(weight=3)
def test_decode_rebuilds_lists(student: Any, rng: RandomInputs) -> None:
    """Genes of a list-valued name come back as a list under it."""
    space = listed_space(rng)
    made = new_space(student, space)
    for _ in range(6):
        expect_arch(student, made, space, space.encode(space.sample(rng.random)))


@decode.check(weight=2)
def test_decode_reaches_every_option(student: Any, rng: RandomInputs) -> None:
    """The first and the last option of every gene can be chosen."""
    for space in (listed_space(rng), one_list(rng, 5, 3)):
        made = new_space(student, space)
        sizes = [len(each) for each in space.options()]
        for code in ([0] * len(sizes), [size - 1 for size in sizes]):
            expect_arch(student, made, space, code)


@decode.check(weight=0.4, guard=True)
def test_decode_refuses_wrong_indices(student: Any, rng: RandomInputs) -> None:
    """An index below 0, or as large as the number of options, raises ValueError."""
    space = listed_space(rng)
    made = new_space(student, space)
    sizes = [len(each) for each in space.options()]
    for index in (-1, -2, None):
        place = rng.integer(0, len(sizes) - 1)
        code = [0] * len(sizes)
        code[place] = sizes[place] if index is None else index
        expect_value_error(student.invoke, made, "decode", tuple(code))


@decode.check(weight=0.4, guard=True)
def test_decode_refuses_wrong_lengths(student: Any, rng: RandomInputs) -> None:
    """More or fewer genes than the space has raise ValueError."""
    space = listed_space(rng)
    made = new_space(student, space)
    code = space.encode(space.sample(rng.random))
    for wrong in (code[:-1], (*code, 0), ()):
        expect_value_error(student.invoke, made, "decode", wrong)


# ---- sample ----------------------------------------------------------------------------------

SAMPLES = 500
TOO_UNEVEN = 35.0  # chi square of at most 4 options: chance exceeds it once in 10^7 draws


def uneven(counts: Counter[int], options: int) -> float:
    """Chi square of counts against all options alike."""
    expected = counts.total() / options
    return sum((counts[each] - expected) ** 2 / expected for each in range(options))


def sampled(
    student: Any, made: Handle, space: ReferenceSpace, seed: int, count: int
) -> list[tuple[int, ...]]:
    """The genes of `count` samples from one generator."""
    generator = remote_generator(student, seed)
    return [
        code_of(space, student.invoke(made, "sample", generator), "sample") for _ in range(count)
    ]


sample = Exercise("s5.sample")


@sample.check(weight=3, essential=True)
def test_sample_draws_all_options_alike(student: Any, rng: RandomInputs) -> None:
    """Every option of a gene comes equally often."""
    space = listed_space(rng)
    codes = sampled(student, new_space(student, space), space, rng.seed(), SAMPLES)
    for place, known in enumerate(space.options()):
        counts = Counter(code[place] for code in codes)
        hint = "draw each gene uniformly from all of its options"
        check(uneven(counts, len(known)) < TOO_UNEVEN, hint)


@sample.check(weight=2)
def test_sample_draws_genes_apart(student: Any, rng: RandomInputs) -> None:
    """Each gene is drawn on its own, also the items of a list."""
    for space in (plain_space(rng, 4, 4, 4), one_list(rng, 4, 4)):
        codes = sampled(student, new_space(student, space), space, rng.seed(), 160)
        for first in range(len(codes[0]) - 1):
            pairs = Counter((code[first] - code[first + 1]) % 4 for code in codes)
            hint = "draw anew for each gene: one must not tell another"
            check(uneven(pairs, 4) < TOO_UNEVEN, hint)


@sample.check(weight=2)
def test_sample_uses_the_generator(student: Any, rng: RandomInputs) -> None:
    """The same generator gives the same architectures, another seed others; no other is used."""
    space, seed = one_list(rng, 12, 3), rng.seed()
    made, before = new_space(student, space), student.rng_fingerprint()
    first = sampled(student, made, space, seed, 4)
    hint = "draw from `generator`, and from nothing else"
    check(student.rng_fingerprint() == before, hint)
    check(sampled(student, made, space, seed, 4) == first, hint)
    check(sampled(student, made, space, seed + 1, 4) != first, hint)
    check(len(set(first)) > 1, "the generator moves on from call to call")


@sample.check(weight=0.7, guard=True)
def test_empty_spaces_are_refused(student: Any, rng: RandomInputs) -> None:
    """A name without options raises ValueError, at the latest when an architecture is drawn."""
    for empty in ([], [[2, 4], []]):
        choices = plain_space(rng, 2, 3).choices | {"empty": empty}

        def draw(choices: dict[str, Any] = choices) -> None:
            made = student.SearchSpace(choices)
            student.invoke(made, "sample", remote_generator(student, 0))

        expect_value_error(draw)


# ---- mutate ----------------------------------------------------------------------------------


def mutated(
    student: Any,
    made: Handle,
    space: ReferenceSpace,
    parent: Architecture,
    probability: float,
    generator: Handle,
) -> tuple[int, ...]:
    """The genes of one mutation."""
    value = student.invoke(made, "mutate", parent, probability, generator)
    return code_of(space, value, "mutate")


def differing(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of places that differ."""
    return sum(x != y for x, y in zip(a, b, strict=True))


mutate = Exercise("s5.mutate")


@mutate.check(weight=3, essential=True)
def test_mutation_rate(student: Any, rng: RandomInputs) -> None:
    """About `probability` of all genes change, whether they stand alone or in a list."""
    for space in (one_list(rng, 8, 5), plain_space(rng, *[5] * 8)):
        made, generator = new_space(student, space), remote_generator(student, rng.seed())
        for probability in (rng.number(0.1, 0.25), rng.number(0.5, 0.8)):
            parent = space.sample(rng.random)
            code, trials = space.encode(parent), 50
            changed = sum(
                differing(mutated(student, made, space, parent, probability, generator), code)
                for _ in range(trials)
            )
            genes = 8 * trials
            slack = 6 * math.sqrt(genes * 0.25)
            hint = "each gene changes with this probability, to another option or any of them"
            check(changed > 0.8 * probability * genes - slack, hint)
            check(changed < probability * genes + slack, hint)


@mutate.check(weight=2)
def test_genes_mutate_on_their_own(student: Any, rng: RandomInputs) -> None:
    """Whether a gene changes says nothing about another, nor which option it gets."""
    space = one_list(rng, 8, 3)
    made, generator = new_space(student, space), remote_generator(student, rng.seed())
    parent = space.sample(rng.random)
    code = space.encode(parent)
    children = [mutated(student, made, space, parent, 0.5, generator) for _ in range(60)]
    unchanged = sum(differing(child, code) == 0 for child in children)
    check(unchanged < 15, "decide for each gene on its own: hardly a child has no change at all")
    for place in range(8):
        seen = Counter(child[place] for child in children)
        hint = "every option of a gene can be what it changes to, also beside changes elsewhere"
        check(len(seen) == 3 and max(seen.values()) < 58, hint)


@mutate.check(weight=2)
def test_mutation_keeps_to_the_space(student: Any, rng: RandomInputs) -> None:
    """A changed gene has one of its own options, and any of them."""
    space = listed_space(rng)
    made, generator = new_space(student, space), remote_generator(student, rng.seed())
    parent = space.sample(rng.random)
    children = [mutated(student, made, space, parent, 1.0, generator) for _ in range(60)]
    for place, known in enumerate(space.options()):
        others = {child[place] for child in children} - {space.encode(parent)[place]}
        hint = "with probability 1 every gene gets other options, each of them now and then"
        check(len(others) == len(known) - 1, hint)
    for _ in range(5):
        child = mutated(student, made, space, parent, 0.0, generator)
        check(child == space.encode(parent), "with probability 0 nothing changes")


def expect_no_shared_lists(
    student: Any, made: Handle, method: str, parents: Sequence[Architecture], *more: Any
) -> None:
    """Parents stay as they are, and their lists are not the child's."""
    probe, function = student.put(SharedLists()), student.get(made, method)
    for _ in range(10):
        refs = [student.put(parent) for parent in parents]
        answer = student.invoke(probe, "run", function, *refs, *more)
        hint = "a child with the parent's own list in it changes when the parent does: copy lists"
        for ref, parent in zip(refs, parents, strict=True):
            check(student.fetch(ref) == parent, "parents stay as they are: work on a copy")
        check(answer[1] is False, hint)


@mutate.check(weight=2, essential=True)
def test_mutation_copies_the_parent(student: Any, rng: RandomInputs) -> None:
    """The parent and its lists stay as they are, and the child has lists of its own."""
    space = listed_space(rng)
    made, generator = new_space(student, space), remote_generator(student, rng.seed())
    for probability in (1.0, 0.5, 0.0):
        parent = space.sample(rng.random)
        expect_no_shared_lists(student, made, "mutate", [parent], probability, generator)
    large = one_list(rng, 12, 4)
    made, parent = new_space(student, large), large.sample(rng.random)
    born = [mutated(student, made, large, parent, 0.5, generator) for _ in range(20)]
    check(any(child != large.encode(parent) for child in born), "a copy that mutates")


@mutate.check(weight=1)
def test_mutation_uses_the_generator(student: Any, rng: RandomInputs) -> None:
    """The same generator gives the same children, another seed others; no global one is used."""
    space, seed = one_list(rng, 12, 4), rng.seed()
    made, parent = new_space(student, space), space.sample(rng.random)

    def children(seed: int) -> list[tuple[int, ...]]:
        generator = remote_generator(student, seed)
        return [mutated(student, made, space, parent, 0.5, generator) for _ in range(4)]

    before, first = student.rng_fingerprint(), children(seed)
    hint = "draw from `generator`, and from nothing else"
    check(student.rng_fingerprint() == before, hint)
    check(children(seed) == first and children(seed + 1) != first, hint)


@mutate.check(weight=1, guard=True)
def test_mutation_refuses_wrong_probabilities(student: Any, rng: RandomInputs) -> None:
    """A probability outside 0..1 raises ValueError."""
    space = listed_space(rng)
    made, generator = new_space(student, space), remote_generator(student, rng.seed())
    for probability in (-rng.number(0.1, 1), 1 + rng.number(0.1, 1)):
        parent = space.sample(rng.random)
        expect_value_error(student.invoke, made, "mutate", parent, probability, generator)


# ---- crossover -------------------------------------------------------------------------------


def far_apart(space: ReferenceSpace, rng: RandomInputs) -> tuple[Architecture, Architecture]:
    """Two parents that differ in every gene."""
    one = space.sample(rng.random)
    sizes = [len(each) for each in space.options()]
    other = [
        (index + rng.integer(1, size - 1)) % size
        for index, size in zip(space.encode(one), sizes, strict=True)
    ]
    return one, space.decode(other)


def inherited(
    space: ReferenceSpace, child: tuple[int, ...], a: Architecture, b: Architecture
) -> list[bool]:
    """Of each gene, whether it is the first parent's; fails if it is neither's."""
    mine, others = space.encode(a), space.encode(b)
    both = all(x in pair for x, *pair in zip(child, mine, others, strict=True))
    check(both, "each gene of the child is one of the two that its parents have there")
    return [x == y for x, y in zip(child, mine, strict=True)]


def children(
    student: Any, rng: RandomInputs, space: ReferenceSpace, count: int
) -> list[list[bool]]:
    """What `count` children of two different parents have inherited."""
    made, generator = new_space(student, space), remote_generator(student, rng.seed())
    a, b = far_apart(space, rng)
    return [
        inherited(
            space,
            code_of(space, student.invoke(made, "crossover", a, b, generator), "crossover"),
            a,
            b,
        )
        for _ in range(count)
    ]


crossover = Exercise("s5.crossover")


@crossover.check(weight=3, essential=True)
def test_crossover_mixes_genes(student: Any, rng: RandomInputs) -> None:
    """A child has genes of both parents, also within one list."""
    found = children(student, rng, one_list(rng, 12, 3), 40)
    mixed = sum(0 < sum(each) < len(each) for each in found)
    check(mixed > 20, "every item of a list is a gene: mix within lists, not whole names")


@crossover.check(weight=3)
def test_crossover_is_fair(student: Any, rng: RandomInputs) -> None:
    """Over many children both parents give about half of the genes."""
    for space in (one_list(rng, 10, 3), plain_space(rng, *[3] * 10)):
        found = children(student, rng, space, 120)
        share = sum(map(sum, found)) / (120 * 10)
        check(0.3 < share < 0.7, "both parents are treated alike")
        check(len({tuple(each) for each in found}) > 5, "what comes from whom is drawn each time")


@crossover.check(weight=2)
def test_crossover_keeps_to_the_space(student: Any, rng: RandomInputs) -> None:
    """Genes stay at their places, in names and in lists of different options."""
    found = children(student, rng, listed_space(rng), 40)
    check(any(0 < sum(each) < len(each) for each in found), "a child has genes of both parents")


@crossover.check(weight=2)
def test_crossover_copies_lists(student: Any, rng: RandomInputs) -> None:
    """Parents stay as they are, and the child has lists of its own."""
    space = listed_space(rng)
    made, generator = new_space(student, space), remote_generator(student, rng.seed())
    a, b = far_apart(space, rng)
    expect_no_shared_lists(student, made, "crossover", [a, b], generator)
    expect_no_shared_lists(student, made, "crossover", [a, a], generator)
    born = [student.invoke(made, "crossover", a, b, generator) for _ in range(10)]
    check(any(child not in (a, b) for child in born), "a child has genes of both parents")
    same = student.invoke(made, "crossover", a, a, generator)
    check(code_of(space, same, "crossover") == space.encode(a), "equal parents have equal children")


@crossover.check(weight=1)
def test_crossover_uses_the_generator(student: Any, rng: RandomInputs) -> None:
    """The same generator gives the same children, another seed others; no global one is used."""
    space, seed = one_list(rng, 14, 4), rng.seed()
    made, (a, b) = new_space(student, space), far_apart(space, rng)

    def born(seed: int) -> list[tuple[int, ...]]:
        generator = remote_generator(student, seed)
        return [
            code_of(space, student.invoke(made, "crossover", a, b, generator), "crossover")
            for _ in range(6)
        ]

    before, first = student.rng_fingerprint(), born(seed)
    hint = "draw from `generator`, and from nothing else"
    check(student.rng_fingerprint() == before, hint)
    check(born(seed) == first and born(seed + 1) != first, hint)


# ---- satisfies -------------------------------------------------------------------------------


def costs(rng: RandomInputs) -> dict[str, float]:
    """Measured values by name."""
    names = rng.sample(["macs", "params", "bytes", "latency", "energy"], 4)
    return {name: rng.choice([rng.integer(1, 10**6), rng.number(0, 10)]) for name in names}


satisfies = Exercise(
    "s5.satisfies",
    reference=lambda measured, limits: all(measured[n] <= limits[n] for n in limits),
    agreement=agreements.truth,
)


@satisfies.check(weight=2)
def test_limits_are_upper_bounds(rng: RandomInputs) -> Any:
    """All costs below their limits: True; one above its limit: False."""
    for _ in range(4):
        measured = costs(rng)
        first, second, *_ = rng.sample(list(measured), 4)
        limits = {first: measured[first] + 1, second: measured[second] * 2 + 1}
        yield case(measured, limits)
        yield case(measured, limits | {first: measured[first] - 0.5})
        yield case(measured, limits | {second: measured[second] - 1e-3})


@satisfies.check(weight=1)
def test_limits_may_be_reached(rng: RandomInputs) -> Any:
    """A cost that equals its limit is allowed; no limits are kept by everything."""
    measured = costs(rng)
    yield case(measured, dict(measured))
    yield case(measured, {name: measured[name] for name in list(measured)[:1]})
    yield case(measured, {})
    yield case(measured, {name: value - 0.25 for name, value in measured.items()})


@satisfies.check(weight=1)
def test_not_a_number_is_not_enough(rng: RandomInputs) -> Any:
    """A cost that is NaN satisfies no limit, not even infinity."""
    measured = costs(rng)
    names = list(measured)
    unmeasured = measured | {names[1]: math.nan}
    generous = dict.fromkeys(names, math.inf)
    yield case(unmeasured, generous)
    yield case(unmeasured, {names[1]: 1e30})
    yield case(unmeasured, {names[0]: math.inf})
    yield case(measured, generous)


@satisfies.check(weight=4, essential=True)
def test_unknown_limits_are_refused(student: Any, rng: RandomInputs) -> None:
    """A limit of a cost that was not measured raises ValueError, also behind one that failed."""
    refused = []
    for limit in (math.inf, 0.0, -1.0):
        measured = costs(rng)
        names = list(measured)
        kept, broken = {names[0]: measured[names[0]]}, {names[1]: measured[names[1]] - 1}
        right = student.satisfies(measured, kept)
        check(expect_bool(right, "satisfies"), "a limit that is reached is kept")
        check(not expect_bool(student.satisfies(measured, broken), "satisfies"), "broken: False")
        misspelt = {names[2][:-1]: limit}
        for limits in (misspelt, kept | misspelt, broken | misspelt, misspelt | broken):
            refused.append(_raises_value_error(student, measured, limits))
    check(all(refused), "a limit that nobody measured is a mistake in its name: raise ValueError")


def _raises_value_error(student: Any, measured: dict[str, float], limits: dict[str, float]) -> bool:
    try:
        student.satisfies(measured, limits)
    except StudentError as error:
        if error.kind == "NotImplementedError":
            raise
        return error.is_value_error
    return False
