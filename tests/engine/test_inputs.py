"""What graders draw."""

from __future__ import annotations

from pathlib import Path

import pytest

from autograder.graders.toolkit import RandomInputs, drawn_once
from autograder.submissions import Submission
from tests.support import exercise, grade, small_course, submission


def test_what_takes_long_is_drawn_once_and_the_draws_go_on_alike() -> None:
    worked = []

    @drawn_once
    def drawn(rng: RandomInputs) -> tuple[float, int]:
        worked.append(1)
        return float(rng.normal(1)), rng.integer(0, 10**9)

    def run(seed: bytes) -> list[object]:
        rng = RandomInputs(seed.ljust(8))
        return [drawn(rng), drawn(rng), float(rng.uniform(1)), rng.seed()]

    first = run(b"one")
    assert (run(b"one"), len(worked)) == (first, 2)
    assert first[0] != first[1]
    assert run(b"two") != first
    plain = RandomInputs(b"one".ljust(8))
    assert first[0] == (float(plain.normal(1)), plain.integer(0, 10**9))
    for number in range(9):
        run(b"%d" % number)
    assert run(b"one") == first


GRADERS = """
import random

import numpy as np
import torch

from autograder.graders.toolkit import Exercise, check

scale = Exercise("s1.scale")

@scale.check()
def test_weights(student):
    '''A network that a check makes has weights of its own.'''
    drawn = [torch.nn.Linear(1, 1).weight.item(), np.random.rand(), random.random()]
    check(student.scale([1]) == [1], " ".join(map(str, drawn)))
"""


@pytest.mark.slow
def test_what_a_check_draws_globally_is_repeated_as_well(tmp_path: Path) -> None:
    """Whoever was graded before, and not what another student gets."""
    (tmp_path / "test_scale.py").write_text(GRADERS)
    names = ("ada", "bob", "carl")
    works = [submission(name, {"work.py": "def scale(values): return 0"}) for name in names]

    def drawn(*works: Submission) -> list[str]:
        reports = grade(small_course(["scale"]), works, tmp_path)
        return [exercise(reports[each.student], "scale").tests[0].message for each in works]

    first = drawn(*works)
    assert len(set(first)) == 3
    assert drawn(*works[::-1]) == first[::-1]
    assert drawn(works[1]) == [first[1]]
