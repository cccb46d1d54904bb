"""Every rule that looks at arguments, on each bit and each small number: nothing is left to draws.

What is expected is written with the names of Python's own modules for the kernel's constants.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable

import pytest

from autograder.engine.sandbox import kernel, seccomp
from autograder.engine.sandbox.syscalls import LAST_KNOWN
from tests.engine.test_sandbox_seccomp import (
    ADVICE,
    FCNTL,
    FCNTL_LOCKS,
    MACHINES,
    ONE_OF,
    PID,
    assembled,
    instructions,
    simulate,
    verdict,
)

ALLOW, DENY, IGNORE, KILL = seccomp.ALLOW, seccomp.DENY, seccomp.IGNORE, seccomp.KILL
EINVAL, NOT_SUPPORTED = seccomp.fail(errno.EINVAL), seccomp.fail(errno.EOPNOTSUPP)
WORD = 2**32
BITS = [1 << bit for bit in range(64)]
SMALL = range(64)
NUMBERS = sorted({*SMALL, *BITS, *(bit - 1 for bit in BITS[6:]), *(bit + 1 for bit in BITS), PID})

pytestmark = pytest.mark.parametrize("machine", MACHINES)


def around(values: Iterable[int]) -> list[int]:
    """`NUMBERS`, the values and their neighbours, with and without a high half."""
    near = {value + step for value in values for step in (-1, 0, 1) if value + step >= 0}
    return sorted({*NUMBERS, *near, *(WORD + value for value in near)})


def check(
    machine: str, name: str, argument: int, values: Iterable[int], expected: Callable[[int], int]
) -> None:
    """The verdict on each value of one argument, others being 0 or all ones: it decides alone."""
    for value in values:
        for other in (0, 2**64 - 1):
            arguments = [other] * 6
            arguments[argument] = value
            assert verdict(machine, name, *arguments) == expected(value), (name, hex(value))


# ---- the constants, by the names of other modules ------------------------------------------------


def test_verdicts_are_those_of_the_kernel(machine: str) -> None:
    """linux/seccomp.h: SECCOMP_RET_ALLOW, KILL_PROCESS and ERRNO with its number."""
    del machine
    assert (ALLOW, KILL) == (0x7FFF0000, 0x80000000)
    assert (IGNORE, DENY, seccomp.ABSENT) == (
        0x50000,
        0x50000 + errno.EPERM,
        0x50000 + errno.ENOSYS,
    )
    assert seccomp.fail(7) == 0x50007


def test_architectures_are_elf_machines(machine: str) -> None:
    """linux/audit.h: the ELF machine, 64 bits, little-endian."""
    elf = {"x86_64": 62, "aarch64": 183}[machine]
    assert seccomp.AUDIT_ARCH[machine] == 0x80000000 | 0x40000000 | elf


# ---- the program ---------------------------------------------------------------------------------


def test_the_program_is_one_that_the_kernel_takes(machine: str) -> None:
    """Aligned loads within `struct seccomp_data`, jumps that stay inside, a verdict at the end."""
    code = instructions(assembled(machine))
    for at, (operation, jump_true, jump_false, operand) in enumerate(code):
        assert operation in (0x20, 0x54, 0x15, 0x35, 0x05, 0x06)
        if operation == 0x20:
            assert operand % 4 == 0
            assert operand < 64
        if operation in (0x15, 0x35):
            assert at + 1 + max(jump_true, jump_false) < len(code)
        else:
            assert (jump_true, jump_false) == (0, 0)
        if operation == 0x05:
            assert at + 1 + operand < len(code)
    assert code[-1][0] == 0x06


def test_no_call_is_judged_by_its_instruction_pointer(machine: str) -> None:
    """Bytes 8 to 15 of `struct seccomp_data`."""
    loads = {
        operand
        for operation, _, _, operand in instructions(assembled(machine))
        if operation == 0x20
    }
    assert not loads & set(range(8, 16))
    assert {0, 4} <= loads


def test_numbers_beyond_the_table_are_absent_and_x32_is_killed(machine: str) -> None:
    code, architecture = assembled(machine), seccomp.AUDIT_ARCH[machine]
    x32 = 0x40000000
    beyond = KILL if machine == "x86_64" else seccomp.ABSENT
    for number, expected in {
        LAST_KNOWN + 1: seccomp.ABSENT,
        x32 - 1: seccomp.ABSENT,
        x32: beyond,
        x32 + 1: beyond,
        WORD - 1: beyond,
    }.items():
        assert simulate(code, number, architecture) == expected
    for other in (
        architecture - 1,
        architecture + 1,
        0,
        *(architecture ^ bit for bit in BITS[:32]),
    ):
        assert simulate(code, 0, other) == KILL


# ---- one argument --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ONE_OF))
def test_lists_of_commands(machine: str, name: str) -> None:
    argument, values, otherwise = ONE_OF[name]
    allowed = set(values)
    check(
        machine,
        name,
        argument,
        around(values),
        lambda v: ALLOW if v % WORD in allowed else otherwise,
    )


def test_commands_on_files(machine: str) -> None:
    plain = {
        fcntl.F_DUPFD,
        fcntl.F_GETFD,
        fcntl.F_SETFD,
        fcntl.F_GETFL,
        fcntl.F_SETFL,
        fcntl.F_DUPFD_CLOEXEC,
        fcntl.F_GETPIPE_SZ,
    }
    locks = {fcntl.F_SETLK, fcntl.F_SETLKW, fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW}
    assert (plain, locks) == (FCNTL, FCNTL_LOCKS)

    def expected(value: int) -> int:
        command = value % WORD
        return ALLOW if command in plain else IGNORE if command in locks else DENY

    check(machine, "fcntl", 1, around(plain | locks), expected)


def test_advice(machine: str) -> None:
    def expected(value: int) -> int:
        advice = value % WORD
        return ALLOW if advice in ADVICE else IGNORE if advice == mmap.MADV_WILLNEED else EINVAL

    check(machine, "madvise", 2, around(ADVICE), expected)


def test_clocks(machine: str) -> None:
    """Those with names, and this process's and thread's own, which are -6 and -2 as words."""
    named = set(range(time.CLOCK_REALTIME, time.CLOCK_TAI + 1)) | {WORD - 6, WORD - 2}
    for name in ("clock_gettime", "clock_getres", "clock_nanosleep"):
        check(machine, name, 0, around(named), lambda v: ALLOW if v % WORD in named else EINVAL)


def test_flags_of_reads_and_writes(machine: str) -> None:
    for name in ("preadv2", "pwritev2"):
        check(machine, name, 5, NUMBERS, lambda v: NOT_SUPPORTED if v % WORD else ALLOW)


def test_pipes(machine: str) -> None:
    free = os.O_CLOEXEC | os.O_NONBLOCK
    combined = [*NUMBERS, free, free | 1, free | os.O_DIRECT]
    check(machine, "pipe2", 1, combined, lambda v: DENY if v % WORD & ~free else ALLOW)


def test_shared_memory_without_a_file(machine: str) -> None:
    both = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS
    values = [*NUMBERS, *(both | bit for bit in BITS), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS]
    check(machine, "mmap", 3, values, lambda v: DENY if v & both == both else ALLOW)


@pytest.mark.parametrize(("name", "argument"), [("open", 1), ("openat", 2)])
def test_opening(machine: str, name: str, argument: int) -> None:
    if name not in MACHINES[machine]:
        pytest.skip("this machine has openat only")
    modes = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_ACCMODE)
    values = [mode | rest for mode in modes for rest in (0, os.O_TRUNC, *BITS)]
    values += [mode | os.O_TRUNC | bit for mode in modes for bit in BITS]

    def expected(flags: int) -> int:
        writes = flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR)
        return ALLOW if writes or not flags & os.O_TRUNC else DENY

    check(machine, name, argument, values, expected)


def test_addresses_of_sendto(machine: str) -> None:
    """A pointer: any bit of its 64 makes it one."""
    check(machine, "sendto", 4, NUMBERS, lambda pointer: DENY if pointer else ALLOW)


def test_processes(machine: str) -> None:
    for name in ("kill", "tgkill"):
        check(machine, name, 0, around([PID]), lambda v: ALLOW if v % WORD == PID else DENY)
    for name, argument, otherwise in (
        ("getpgid", 0, DENY),
        ("getsid", 0, DENY),
        ("getpriority", 1, DENY),
        ("sched_getaffinity", 0, seccomp.ABSENT),
        ("sched_getparam", 0, seccomp.ABSENT),
        ("sched_getscheduler", 0, seccomp.ABSENT),
    ):
        for value in around([0, PID]):
            expected = ALLOW if value % WORD in (0, PID) else otherwise
            check(machine, name, argument, [value], lambda _, verdict=expected: verdict)


# ---- several arguments or bits -------------------------------------------------------------------


def test_socket_pairs(machine: str) -> None:
    flags = (
        0,
        socket.SOCK_CLOEXEC,
        socket.SOCK_NONBLOCK,
        socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
    )
    for domain, kind, flag in itertools.product(SMALL, range(16), flags):
        is_plain = domain == socket.AF_UNIX and kind == socket.SOCK_STREAM
        expected = ALLOW if is_plain else DENY
        assert verdict(machine, "socketpair", domain, kind | flag) == expected, (domain, kind)


# linux/sched.h
VM, FS, FILES, SIGHAND, THREAD = 0x100, 0x200, 0x400, 0x800, 0x10000
SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID = 0x40000, 0x80000, 0x100000, 0x200000
DETACHED = 0x400000


def test_threads(machine: str) -> None:
    """Each flag of a thread left out, each other bit put in."""
    needed = (VM, FS, FILES, SIGHAND, THREAD)
    free = (SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID, DETACHED)
    thread = sum(needed)
    for count in range(len(free) + 1):
        for chosen in itertools.combinations(free, count):
            flags = thread | sum(chosen)
            assert verdict(machine, "clone", flags) == ALLOW
            for flag in needed:
                assert verdict(machine, "clone", flags & ~flag) == DENY
    for bit in BITS[:32]:
        if bit not in needed and bit not in free:
            assert verdict(machine, "clone", thread | bit) == DENY
            assert verdict(machine, "clone", thread | sum(free) | bit) == DENY
    assert verdict(machine, "clone", 0) == DENY


# linux/futex.h
WAIT, WAKE, WAIT_BITSET, PRIVATE, CLOCK_REALTIME = 0, 1, 9, 0x80, 0x100


def test_futexes(machine: str) -> None:
    """The clock's flag changes nothing; each bit of the pointer to a time makes it a time."""
    for operation, flags in itertools.product(range(128), (0, CLOCK_REALTIME)):
        assert verdict(machine, "futex", 0, operation | PRIVATE | flags) == ALLOW
        expected = IGNORE if operation in (WAIT, WAKE, WAIT_BITSET) else DENY
        assert verdict(machine, "futex", 0, operation | flags, 0, 1) == expected
        endless = ALLOW if operation == WAIT_BITSET else expected
        assert verdict(machine, "futex", 0, operation | flags, 0, 0) == endless
    for pointer in BITS:
        assert verdict(machine, "futex", 0, WAIT_BITSET, 0, pointer) == IGNORE


# ---- what is asked of the kernel -----------------------------------------------------------------


def test_the_kernel_is_asked_for_the_gravest_verdict(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """linux/seccomp.h: SECCOMP_GET_ACTION_AVAIL is 2, without flags."""
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(kernel, "machine", lambda: machine)
    monkeypatch.setattr(kernel, "call", lambda *arguments: asked.append(arguments))
    assert seccomp.available() == ""
    assert asked == [("seccomp", 2, 0, struct.pack("=I", KILL))]


def test_a_filter_is_set_with_its_length_and_place(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`struct sock_fprog`: instructions as 16 bits, padded, then a pointer."""
    asked: list[tuple[object, ...]] = []
    seen: list[bytes] = []
    monkeypatch.setattr(kernel, "call", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(kernel, "address", lambda code: seen.append(code) or 0x1234)
    program = seccomp.assemble(machine)
    seccomp.install(program, PID)
    assert seen == [program.for_process(PID)]
    header = struct.pack("=H", len(seen[0]) // 8) + bytes(6) + struct.pack("=Q", 0x1234)
    assert asked == [("seccomp", 1, 0, header)]
