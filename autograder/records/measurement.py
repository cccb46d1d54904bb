"""What is measured of a final project: frozen records, and nothing that computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Stored:
    """One constant of the file that the arithmetic uses.

    `nonzeros` counts elements whose decoded value is not exactly zero, `bits` is the width of one
    stored element. `maskable` says that it may be stored as nonzeros and a bit mask (micronet).
    """

    name: str
    elements: int
    nonzeros: int
    bits: int
    maskable: bool = True


@dataclass(frozen=True)
class Products:
    """The multiply-accumulates of one operator, for one image.

    `outputs` sums of `reduction` products each; `nonzero_macs` is the number of products whose
    weight is not zero (of `outputs * reduction`), `empty_outputs` the number of sums without any.
    `weight_bits` and `activation_bits` are the widths of the two factors; of two activations, the
    smaller first.
    """

    outputs: int
    reduction: int
    nonzero_macs: int
    empty_outputs: int
    weight_bits: int
    activation_bits: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates, zeros included."""
        return self.outputs * self.reduction


@dataclass(frozen=True)
class MeasuredLayer:
    """One operator of the graph: what it stores and what it computes for one image.

    `position` is that in the file, `shape` that of its first output without the batch,
    `ops` the other operations. An elementwise product with a constant larger than per channel is
    among `products`.
    """

    position: int
    kind: str
    shape: tuple[int, ...]
    stored: tuple[Stored, ...] = ()
    products: tuple[Products, ...] = ()
    ops: int = 0

    @property
    def params(self) -> int:
        """Elements of the constants that this operator is the first to use."""
        return sum(constant.elements for constant in self.stored)

    @property
    def nonzeros(self) -> int:
        """Those of them that are not zero."""
        return sum(constant.nonzeros for constant in self.stored)

    @property
    def stored_bits(self) -> int:
        """Bits of the nonzeros."""
        return sum(constant.nonzeros * constant.bits for constant in self.stored)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(products.macs for products in self.products)

    @property
    def bits(self) -> tuple[int, int] | None:
        """(weight bits, activation bits) of its widest products."""
        if not self.products:
            return None
        widest = max(self.products, key=lambda p: max(p.weight_bits, p.activation_bits))
        return widest.weight_bits, widest.activation_bits


@dataclass(frozen=True)
class Measurement:
    """What the graph of one file holds; see docs/scoring.md for every rule.

    `file_bytes` is the size of the file. `excess_macs` are other operations beyond a quarter of
    the multiply-accumulates, which are charged as such at 32 bits.
    """

    file_bytes: int
    sha256: str
    opset: int
    layers: tuple[MeasuredLayer, ...]

    @property
    def params(self) -> int:
        """Elements of all constants that the arithmetic uses, once per storage."""
        return sum(layer.params for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """Those that are not exactly zero."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def stored_bits(self) -> int:
        """Bits of the nonzeros."""
        return sum(layer.stored_bits for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image, without `excess_macs`."""
        return sum(layer.macs for layer in self.layers)

    @property
    def ops(self) -> int:
        """Other operations for one image."""
        return sum(layer.ops for layer in self.layers)

    @property
    def excess_macs(self) -> int:
        """Other operations that are charged as multiply-accumulates.

        They may be a quarter of the multiply-accumulates, of which those of fewer than 8 bits
        count by their bits: so useless products of few bits do not pay for other work.
        """
        eighths = sum(
            products.macs * min(8, max(products.weight_bits, products.activation_bits))
            for layer in self.layers
            for products in layer.products
        )
        return max(0, self.ops - eighths // 32)


@dataclass(frozen=True)
class Answers:
    """Right answers, as integers, on the test images and on perturbed ones.

    `by_batch` has them for every batch size that was tried; `correct` is the smallest of them.
    `perturbed` has them for each draw of perturbed images. The draws depend on the file's bytes and
    a key: the "course"'s secret, or the "public" one of every machine that has no secret.
    """

    images: int
    by_batch: Mapping[int, int]
    perturbed: tuple[int, ...]
    draws: Literal["course", "public"]
    seconds: float

    @property
    def correct(self) -> int:
        """The number that counts: the worst over the batch sizes."""
        return min(self.by_batch.values())

    @property
    def correct_perturbed(self) -> int:
        """The mean over the draws, rounded down."""
        return sum(self.perturbed) // len(self.perturbed)


@dataclass(frozen=True)
class Claim:
    """What the card says; compared, never used."""

    accuracy: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Score:
    """One entry: who, what was measured, what it costs, and whether it passes.

    `counted` is the number of right answers that the gate and the ranking use: the lower of
    `answers.correct` and the perturbed ones plus the reference network's own drop. A refused file
    has a `refusal`, one sentence, and nothing else that counts.
    """

    team: str
    dataset: str
    scored_at: str
    sha256: str
    file_bytes: int
    method: str = ""
    members: tuple[str, ...] = ()
    base_revision: str = ""
    refusal: str = ""
    measurement: Measurement | None = None
    answers: Answers | None = None
    counted: int = 0
    gate: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)
    claim: Claim = Claim()

    @property
    def valid(self) -> bool:
        """Whether it may stand on the leaderboard."""
        return not self.refusal and self.answers is not None and self.counted >= self.gate

    @property
    def accuracy(self) -> float:
        """Share of right answers that counts."""
        return self.counted / self.answers.images if self.answers else 0.0
