"""Values that are encoded in one process and decoded in another, which knows nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from autograder.graders.toolkit.failures import Refused
from autograder.graders.toolkit.inputs import RandomInputs

Input = TypeVar("Input")
Message = TypeVar("Message")
Value = TypeVar("Value")

MAX_READ_BYTES = 64 * 1024  # from the disk, by the worker that decodes
MAX_DECODERS = 6  # where memory is short, what was read is soon forgotten, and read again


def round_trips(
    student: Any,
    rng: RandomInputs,
    encode: Callable[[Any, Input], Message],
    decode: Callable[[Any, Message, Input], Value],
    inputs: Sequence[Input],
) -> tuple[list[Message], list[Value]]:
    """Encode all `inputs` in one worker, kill it, decode in a new one in a drawn order.

    `encode(student, input)` gives the message that is to carry everything, and
    `decode(other, message, input)` what the new worker makes of it; the worker sees of `input`
    only what the function passes on. Two inputs at least, of the same form: a single one could be
    told by other means than the message, see docs/security.md. Returns the messages and the
    values, in the order of `inputs`. ValueError for fewer than two inputs.

    What another process has read of a file is read again in no time, so a worker that reads from
    the disk could learn from what is slow. It has then read it all: what counts is what the next
    one decodes. Refused if every one reads.
    """
    if len(inputs) < 2:
        raise ValueError("a round trip needs two inputs at least")
    messages = [encode(student, given) for given in inputs]
    order = rng.permutation(len(inputs)).tolist()
    for _ in range(MAX_DECODERS):
        other = student.successor()
        values = {index: decode(other, messages[index], inputs[index]) for index in order}
        if other.finish() <= MAX_READ_BYTES:
            return messages, [values[index] for index in range(len(inputs))]
        other.forget()
    raise Refused("your code reads files from the disk: decode from the message alone")
