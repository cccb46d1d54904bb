"""Raw Linux system calls through ctypes: no binding to install, and nothing imported in a fork."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Mapping

from autograder.engine.sandbox.syscalls import AARCH64, X86_64

_TABLES: Mapping[str, Mapping[str, int]] = {"x86_64": X86_64, "aarch64": AARCH64}


Argument = int | bytes | None
"""A number, or the address of bytes that the kernel reads."""


@functools.cache
def machine() -> str | None:
    """Name of this machine ("x86_64" or "aarch64"), or None where the sandbox knows no numbers."""
    is_native = sys.platform == "linux" and sys.maxsize > 2**32 and sys.byteorder == "little"
    return platform.machine() if is_native and platform.machine() in _TABLES else None


def numbers(name: str) -> Mapping[str, int]:
    """System call numbers by name of the machine called `name`."""
    return _TABLES[name]


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    # Looked up once, in the zygote: it searches every loaded library. A void pointer takes
    # numbers and bytes alike; ctypes buffers would make a new type at each call.
    word, integer, number = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
    libc.syscall.argtypes, libc.syscall.restype = [number, *[word] * 5], number
    libc.prctl.argtypes = [integer, *[word] * 4]
    libc.capget.argtypes = libc.capset.argtypes = [word, word]
    libc.unshare.argtypes = [integer]
    return libc


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(name: str, *arguments: Argument) -> int:
    """Make the system call `name` with at most five arguments; raises OSError.

    Needs a supported `machine()`.
    """
    host = machine()
    if host is None:
        raise OSError(f"{name}: no system call numbers for this machine")
    padding = (None,) * (5 - len(arguments))
    return _checked(_libc().syscall(_TABLES[host][name], *arguments, *padding), name)


def prctl(option: int, second: int = 0, third: int = 0) -> int:
    """`prctl(2)`; raises OSError."""
    return _checked(_libc().prctl(option, second, third, 0, 0), "prctl")


def unshare(flags: int) -> None:
    """`unshare(2)`; raises OSError."""
    _checked(_libc().unshare(flags), "unshare")


def capget(header: bytes, size: int) -> bytes:
    """The `size` bytes that `capget(2)` answers to `header`; raises OSError."""
    answer = ctypes.create_string_buffer(size)
    _checked(_libc().capget(header, ctypes.addressof(answer)), "capget")
    return answer.raw


def capset(header: bytes, data: bytes) -> None:
    """`capset(2)`; raises OSError."""
    _checked(_libc().capset(header, data), "capset")


def address(content: bytes) -> int:
    """Where `content` lies in memory; the caller keeps it alive."""
    return ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value or 0
