"""Frozen records that exercises return; the only classes of ours that cross between processes.

A grader accepts the record itself, another dataclass with the same fields, or a plain tuple
with the same values in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class LayerCost:
    """One call of one layer: `macs` for a single sample, `out_shape` with the batch dimension."""

    name: str
    kind: str
    params: int
    macs: int
    out_shape: tuple[int, ...]


@dataclass(frozen=True)
class Latency:
    """Median and 90th percentile of repeated timings, in the unit of the clock (seconds)."""

    median: float
    p90: float


@dataclass(frozen=True)
class History:
    """Training record with one entry per epoch; accuracies are shares in 0..1."""

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class QParams:
    """Affine quantisation `x = scale * (q - zero_point)`.

    Per tensor: a float and an int. Per channel: two tensors of shape (C,).
    """

    scale: float | Tensor
    zero_point: int | Tensor


@dataclass(frozen=True)
class Comparison:
    """How far two outputs are apart; `argmax_agreement` is a share in 0..1.

    `close` says whether every element is within the tolerances.
    """

    max_abs: float
    mean_abs: float
    argmax_agreement: float
    close: bool


Extents = tuple[int | str | None, ...]
"""A shape; of a free dimension its name, or None if it has none."""


@dataclass(frozen=True)
class Summary:
    """What an ONNX file holds.

    `inputs` and `outputs`: name to (NumPy's name of the dtype, shape). `operators`: type to number
    of nodes. `parameters`: elements of stored weights; `initializer_bytes`: of all initialisers.
    """

    inputs: dict[str, tuple[str, Extents]]
    outputs: dict[str, tuple[str, Extents]]
    operators: dict[str, int]
    parameters: int
    initializer_bytes: int
    opset: int


@dataclass(frozen=True)
class Profile:
    """Shapes of one input that an engine is built for: the smallest, the usual, the largest."""

    name: str
    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """Timings of one runner, in the unit of the clock (seconds); NaN if it failed."""

    name: str
    median: float
    p10: float
    p90: float


RECORDS: dict[str, type] = {
    record.__name__: record
    for record in (LayerCost, Latency, History, QParams, Comparison, Summary, Profile, Row)
}
