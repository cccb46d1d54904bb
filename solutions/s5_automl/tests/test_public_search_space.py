"""Public tests of search_space.py: small cases whose answers you can work out on paper.

`autograder check s5` runs them. They show the expected values; the hidden graders use other
inputs, so code that fits only these numbers earns nothing there.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from autograder.graders.toolkit import (
    Exercise,
    Handle,
    agreements,
    case,
    check,
    expect_value_error,
)

CHOICES = {"kernel": [3, 5], "widths": [[4, 8], [4, 8, 16]]}


def generator(student: Any) -> Handle:
    """A torch.Generator in the student's process: that of a loader over there."""
    own = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.zeros(1))
    loader = student.put(DataLoader(data, batch_size=1, shuffle=True, generator=own))
    result: Handle = student.get(Handle(loader.name, "DataLoader"), "generator")
    return result


encode = Exercise("s5.encode")


@encode.check(visibility="visible")
def test_code_by_hand(student: Any) -> None:
    """Kernel 5 is option 1, the widths 4 and 16 are the options 0 and 2 of their places."""
    space = student.SearchSpace(CHOICES)
    code = student.invoke(space, "encode", {"kernel": 5, "widths": [4, 16]})
    check(code == (1, 0, 2), "kernel 5 with widths 4 and 16 has the code (1, 0, 2), a tuple")


decode = Exercise("s5.decode")


@decode.check(visibility="visible")
def test_architecture_by_hand(student: Any) -> None:
    """(0, 1, 1) is kernel 3 with widths 8 and 8; -1 is no index."""
    space = student.SearchSpace(CHOICES)
    arch = student.invoke(space, "decode", (0, 1, 1))
    check(arch == {"kernel": 3, "widths": [8, 8]}, "{'kernel': 3, 'widths': [8, 8]}")
    expect_value_error(student.invoke, space, "decode", (0, 1, -1))


sample = Exercise("s5.sample")


@sample.check(visibility="visible")
def test_all_networks_are_drawn(student: Any) -> None:
    """Of 200 draws all 12 networks are some."""
    space, source = student.SearchSpace(CHOICES), generator(student)
    drawn = {str(student.invoke(space, "sample", source)) for _ in range(200)}
    check(len(drawn) == 12, "2 * 2 * 3 = 12 different architectures")


mutate = Exercise("s5.mutate")


@mutate.check(visibility="visible")
def test_no_and_some_mutation(student: Any) -> None:
    """Probability 0 changes nothing; 1 gives others, and the parent stays."""
    space, source = student.SearchSpace(CHOICES), generator(student)
    parent = {"kernel": 3, "widths": [4, 4]}
    live = student.put(parent)
    child = student.invoke(space, "mutate", live, 0.0, source)
    check(child == parent, "with probability 0 the child equals its parent")
    children = [student.invoke(space, "mutate", live, 1.0, source) for _ in range(20)]
    check(any(each != parent for each in children), "with probability 1 genes change")
    check(student.fetch(live) == parent, "the parent stays as it is, its list, too")


crossover = Exercise("s5.crossover")


@crossover.check(visibility="visible")
def test_items_of_a_list_mix(student: Any) -> None:
    """The child of two lists has items of both, now and then."""
    space, source = student.SearchSpace({"widths": [[4, 8]] * 6}), generator(student)
    a, b = {"widths": [4] * 6}, {"widths": [8] * 6}
    children = [student.invoke(space, "crossover", a, b, source) for _ in range(20)]
    check(any(len(set(each["widths"])) == 2 for each in children), "genes mix within a list")


satisfies = Exercise("s5.satisfies", agreement=agreements.truth)


@satisfies.check(visibility="visible")
def test_limits_by_hand() -> Any:
    """900 MACs keep a limit of 900, not one of 899; NaN keeps none."""
    yield case({"macs": 900, "params": 120}, {"macs": 900}).gives(True)
    yield case({"macs": 900, "params": 120}, {"macs": 899}).gives(False)
    yield case({"macs": math.nan}, {"macs": math.inf}).gives(False)


@satisfies.check(visibility="visible", guard=True)
def test_misspelt_limit(student: Any) -> None:
    """The limit "mac" was not measured."""
    expect_value_error(student.satisfies, {"macs": 900}, {"mac": 1000})
