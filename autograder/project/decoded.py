"""A constant as an operator sees it, after every step between storage and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from autograder.project.network import Array
from autograder.records.measurement import Stored


@dataclass(frozen=True)
class Decoded:
    """A constant behind casts, scales, codebooks and reshapes.

    Attributes:
        values: in the type that ONNX gives them, or None where only the size counts. They are
            zero only where a factor is zero: zeros that the runtime makes by rounding do not count.
        main: the stored tensor that carries the elements, with the nonzeros of `values`; as wide
            as the result where what it was scaled with is no scale but a second factor.
        provenance: equal for constants that are decoded in the same way from the same tensors.
        zero_pattern: equal for those whose zeros are the same elements of `main`; a reshape
            changes the provenance, but not this.
        operands: the scales, zero points and codebooks of the last step.
        index_bits: bits that tell the entries of a codebook apart, where an index stands for
            several weights; 0 elsewhere.
        exact: whether `values` are bit by bit those of the runtime.
    """

    values: Array | None
    main: Stored
    provenance: str
    zero_pattern: str
    operands: tuple[Decoded, ...] = ()
    index_bits: int = 0
    exact: bool = True

    @cached_property
    def all_operands(self) -> tuple[Decoded, ...]:
        """The operands, and those that they need themselves, each once."""
        operands: dict[tuple[str, str], Decoded] = {}
        remaining = list(self.operands)
        # Not a recursion without memory: a scale that is squared again and again has 2^n ways back.
        while remaining:
            operand = remaining.pop()
            key = (operand.provenance, operand.zero_pattern)
            if key not in operands:
                operands[key] = operand
                remaining += operand.operands
        return tuple(operands.values())
