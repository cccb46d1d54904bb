"""What `modules` needs of the encoder and decoder of `values`, which in turn need `modules`."""

from __future__ import annotations

from typing import Any, Protocol


class Encoding(Protocol):
    """An encoder in the middle of a frame."""

    trusted: bool

    def encode(self, value: object, depth: int = 0) -> Any:
        """Return the node of a value."""

    def opaque(self, value: object, depth: int) -> Any:
        """Return the node of what has no form of its own."""

    def number_of(self, thing: object) -> tuple[int, bool]:
        """Return the number of a module or parameter in this frame and whether it is new."""

    def mark(self) -> tuple[int, dict[int, int], int]:
        """Return the present state, for `rewind`."""

    def rewind(self, mark: tuple[int, dict[int, int], int]) -> None:
        """Forget what was encoded since `mark`."""


class Decoding(Protocol):
    """A decoder in the middle of a frame; whatever is out of form raises FrameError."""

    trusting: bool
    memo: dict[int, Any]
    modules_left: int

    def decode(self, node: Any, depth: int = 0) -> Any:
        """Return the value of a node."""

    def text(self, node: dict[str, Any], key: str) -> str:
        """Return the string under `key`."""

    def items(self, node: dict[str, Any], key: str = "v") -> list[Any]:
        """Return the list under `key`."""
