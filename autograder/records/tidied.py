"""What `autograder tidy` did to a file: a frozen record, and nothing that computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TidiedFile:
    """What became of a file.

    Attributes:
        size: bytes of the new file.
        changes: (what was done, how often).
        left: what could not be changed, and why.
        difference: the largest between outputs before and after, relative to the largest output.
        images: on how many both files were run.
        nodes: before and after.
        scorer: what the scorer would refuse the file for; "" if it accepts it.
        written: whether the new file is there; one that is too large for an entry is not.
    """

    size: int
    changes: tuple[tuple[str, int], ...]
    left: tuple[str, ...]
    difference: float
    images: int
    nodes: tuple[int, int]
    scorer: str
    written: bool = False
