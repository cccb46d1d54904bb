"""What graders draw."""

from __future__ import annotations

from autograder.graders.toolkit import RandomInputs, drawn_once


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
