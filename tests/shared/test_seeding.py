import random

import numpy as np
import pytest
import torch

from shared.seeding import isolated_rng, seed_everything


def draw():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_the_same_seed_gives_the_same_numbers_from_every_generator():
    seed_everything(7)
    first = draw()
    seed_everything(7)
    assert draw() == first
    seed_everything(8)
    assert all(a != b for a, b in zip(draw(), first))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_not_every_generator_takes_is_refused(seed):
    with pytest.raises(ValueError, match="seed"):
        seed_everything(seed)


@pytest.mark.parametrize("seed", [None, 3])
def test_generators_go_on_as_if_nothing_had_been_drawn(seed):
    seed_everything(1)
    expected = draw()
    seed_everything(1)
    with isolated_rng(seed):
        draw()
    assert draw() == expected


def test_generators_are_given_back_after_an_exception():
    seed_everything(1)
    expected = draw()
    seed_everything(1)
    with pytest.raises(KeyError), isolated_rng(2):
        raise KeyError(draw())
    assert draw() == expected


def test_a_seed_decides_what_is_drawn_inside():
    with isolated_rng(5):
        first = draw()
    with isolated_rng(5):
        assert draw() == first
