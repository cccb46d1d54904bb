# Generated from solutions/s5_automl/search_space.py by `autograder release`: change it there.
"""Session 5, search space: which networks there are, and how one becomes another.

An architecture is a dict that gives each name of the search space one of its options. It is also a
sequence of *genes*, one small whole number each, which evolution mixes and predictors read:

    {"kernel": 5, "widths": [4, 16]}   from   {"kernel": [3, 5], "widths": [[4, 8], [4, 8, 16]]}

has three genes, (1, 0, 2). A name whose options are lists stands for a list: each of its items is
a gene with options of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from shared.checks import check_fraction, check_int, refuse

Architecture = dict[str, Any]
"""Name -> option, or a list of options where the search space has a list of lists."""


class SearchSpace:
    """All architectures that can be put together from the given options.

    Args:
        choices: name -> its options, a non-empty list. An option may be any value that can be
            compared, but no list: a list of lists describes a list-valued name, item by item.

    Attributes:
        choices: as given.

    Raises:
        ValueError: if a name has no option.

    >>> space = SearchSpace({"kernel": [3, 5], "widths": [[4, 8], [4, 8, 16]]})
    >>> space.encode({"kernel": 5, "widths": [4, 16]})
    (1, 0, 2)
    >>> space.decode((0, 1, 1))
    {'kernel': 3, 'widths': [8, 8]}
    """

    def __init__(self, choices: Mapping[str, Sequence[Any]]) -> None:
        self.choices = dict(choices)
        for name, options in self._genes():
            if not len(options):
                raise refuse(f"choices[{name!r}]", "at least one option", options)

    def _genes(self) -> list[tuple[str, Sequence[Any]]]:
        """(name, options) of each gene: names in the order of `choices`, items of a list in turn.

        Our example has the genes ("kernel", [3, 5]), ("widths", [4, 8]), ("widths", [4, 8, 16]).
        """
        genes = []
        for name, options in self.choices.items():
            items = options if self._is_list_valued(name) else [options]
            genes += [(name, each) for each in items]
        return genes

    def _is_list_valued(self, name: str) -> bool:
        """Whether an architecture has a list under `name`, whose items are genes."""
        options = self.choices[name]
        return len(options) > 0 and all(isinstance(each, list) for each in options)

    def encode(self, arch: Architecture) -> tuple[int, ...]:
        """Return the genes of `arch`: the index of each option, in the order of `choices`.

        Args:
            arch: an architecture of this space.

        Raises:
            ValueError: if a name is missing or unknown, a list has another length, or a value is
                none of the options.
        """
        # TODO(s5.encode): your code; the docstring says what it must do
        raise NotImplementedError("s5.encode")

    def decode(self, code: Sequence[int]) -> Architecture:
        """Return the architecture with the genes `code`, the inverse of `encode`.

        Args:
            code: an index for each gene.

        Returns:
            A new dict with lists of its own.

        Raises:
            ValueError: if there are more or fewer genes than the space has, or an index is no int
                from 0 to the number of options less 1. Negative ones do not count from the end.
        """
        # TODO(s5.decode): your code; the docstring says what it must do
        raise NotImplementedError("s5.decode")

    def sample(self, generator: torch.Generator) -> Architecture:
        """Return a random architecture: each gene is drawn on its own, all its options alike.

        Args:
            generator: where all randomness comes from; the global generators stay as they are.
        """
        # TODO(s5.sample): your code; the docstring says what it must do
        raise NotImplementedError("s5.sample")

    def mutate(
        self, arch: Architecture, probability: float, generator: torch.Generator
    ) -> Architecture:
        """Return a copy of `arch` in which each gene was changed with `probability`.

        Whether a gene changes is decided for each on its own. A changed gene gets another of its
        options, or one drawn from all of them: both are usual, choose one.

        Args:
            arch: the parent; neither it nor its lists are changed, or shared with the result.
            probability: 0..1 for each gene; 0 gives an equal copy.
            generator: where all randomness comes from.

        Raises:
            ValueError: if `probability` is outside 0..1 or `arch` not of this space.
        """
        # TODO(s5.mutate): your code; the docstring says what it must do
        raise NotImplementedError("s5.mutate")

    def crossover(
        self, a: Architecture, b: Architecture, generator: torch.Generator
    ) -> Architecture:
        """Return a child that has each *gene* from one of its parents.

        Uniform crossover: each gene comes from `a` or `b` with equal probability, each item of a
        list on its own (crossover at one random gene is fine, too).

        Args:
            a: one parent; neither is changed, nor are their lists shared with the child.
            b: the other one.
            generator: where all randomness comes from.

        Raises:
            ValueError: if a parent is not of this space.
        """
        # TODO(s5.crossover): your code; the docstring says what it must do
        raise NotImplementedError("s5.crossover")


def _draw(count: int, generator: torch.Generator) -> int:
    """A whole number in 0..count - 1, all alike."""
    return int(torch.randint(count, (), generator=generator))


def satisfies(measured: Mapping[str, Any], limits: Mapping[str, float]) -> bool:
    """Return whether no cost is above its limit.

    Args:
        measured: name -> value; may hold more than is limited.
        limits: name -> the largest value allowed, which may be reached. NaN satisfies no limit.

    Raises:
        ValueError: if a limit's name was not measured, wherever it stands. A misspelt limit that
            is ignored is a limit that does not hold.

    >>> satisfies({"macs": 900, "params": 120}, {"macs": 1000})
    True
    """
    # TODO(s5.satisfies): your code; the docstring says what it must do
    raise NotImplementedError("s5.satisfies")
