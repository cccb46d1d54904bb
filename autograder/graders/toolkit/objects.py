"""What stands in a grader for an object that lives in the student's process, or for ours there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ref:
    """An object that the judge put into a worker."""

    name: str


@dataclass(frozen=True, eq=False)
class Handle:
    """An object that the student's code returned and that stays in its worker.

    Equal only to itself; use `student.call`, `student.invoke` and `student.get`.
    """

    name: str
    type_name: str

    def __bool__(self) -> bool:
        raise TypeError(f"a {self.type_name} of the student's is not a truth value")


@dataclass(frozen=True)
class Optimizer:
    """`torch.optim.<name>` over the parameters of a model in the worker, for `student.put`."""

    name: str
    model: Ref
    options: dict[str, Any]


class CallbackError(Exception):
    """Raised by a grader's callback to tell the student's code something."""
