"""A small assembler for classic BPF, the language of seccomp's filters.

(Linux `Documentation/userspace-api/seccomp_filter`; nothing needs to be installed for it.) A filter
sees a `struct seccomp_data`: the call's number, the machine, six arguments of 64 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from autograder.engine.sandbox import kernel

ALLOW = 0x7FFF0000
BYTES = 8  # of an instruction
NUMBER, MACHINE = 0, 4  # where they lie


class Instruction(NamedTuple):
    """One `struct sock_filter`; `is_pid` marks an operand to be replaced by the process id."""

    code: int
    jump_true: int
    jump_false: int
    operand: int
    is_pid: bool = False


Block = tuple[Instruction, ...]


def load(offset: int) -> Instruction:
    """Take the 32 bits at `offset` into the accumulator."""
    return Instruction(0x20, 0, 0, offset)  # BPF_LD | BPF_W | BPF_ABS


def low(argument: int) -> Instruction:
    """Take the low half of an argument."""
    return load(16 + 8 * argument)


def high(argument: int) -> Instruction:
    """Take the high half of an argument."""
    return load(20 + 8 * argument)


def keep_bits(mask: int) -> Instruction:
    """Keep the bits of `mask` of the accumulator."""
    return Instruction(0x54, 0, 0, mask & 0xFFFFFFFF)  # BPF_ALU | BPF_AND | BPF_K


def equal(value: int, jump_true: int, jump_false: int, is_pid: bool = False) -> Instruction:
    """Jump so many instructions ahead if the accumulator equals `value`, else so many."""
    return Instruction(0x15, jump_true, jump_false, value, is_pid)  # BPF_JMP | BPF_JEQ | BPF_K


def at_least(value: int, jump_true: int, jump_false: int) -> Instruction:
    """Jump so many instructions ahead if the accumulator is at least `value`, else so many."""
    return Instruction(0x35, jump_true, jump_false, value)  # BPF_JMP | BPF_JGE | BPF_K


def skip(count: int) -> Instruction:
    """Jump so many instructions ahead."""
    return Instruction(0x05, 0, 0, count)  # BPF_JMP | BPF_JA


def verdict(value: int) -> Block:
    """End with a verdict."""
    return (Instruction(0x06, 0, 0, value),)  # BPF_RET | BPF_K


def pack(instructions: Iterable[Instruction]) -> bytes:
    """The program as the kernel takes it."""
    return b"".join(struct.pack("=HBBI", *instruction[:4]) for instruction in instructions)


def install(code: bytes, flags: int = 0) -> int:
    """Put a filter on this process, which has one thread and no_new_privs; raises OSError.

    Returns what seccomp(2) does: 0, or a descriptor if `flags` ask for one.
    """
    header = struct.pack("=HxxxxxxQ", len(code) // BYTES, kernel.address(code))
    return kernel.call("seccomp", 1, flags, header)  # SECCOMP_SET_MODE_FILTER
