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


_FUNCTIONS = {"capget": 2, "capset": 2, "unshare": 1}


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
    libc.syscall.argtypes = [ctypes.c_long] * 6
    libc.syscall.restype = ctypes.c_long
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.prctl.restype = ctypes.c_int
    for name, count in _FUNCTIONS.items():  # in the zygote: it searches every loaded library
        getattr(libc, name).argtypes = [ctypes.c_long] * count
    return libc


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def call(name: str, *arguments: int) -> int:
    """Make the system call `name` with at most five integers; raises OSError.

    Needs a supported `machine()`. Pointers are passed as addresses, see `address`.
    """
    host = machine()
    if host is None:
        raise OSError(f"{name}: no system call numbers for this machine")
    padding = (0,) * (5 - len(arguments))
    return _checked(_libc().syscall(_TABLES[host][name], *arguments, *padding), name)


def prctl(option: int, second: int = 0, third: int = 0, fourth: int = 0, fifth: int = 0) -> int:
    """`prctl(2)`; raises OSError."""
    return _checked(_libc().prctl(option, second, third, fourth, fifth), "prctl")


def library_call(name: str, *arguments: int) -> int:
    """The C library's `capget`, `capset` or `unshare` on integers and addresses; raises OSError."""
    return _checked(getattr(_libc(), name)(*arguments), name)


def address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    """Address of `buffer`, which the caller keeps alive during the call."""
    return ctypes.addressof(buffer)


def buffer(content: bytes) -> ctypes.Array[ctypes.c_char]:
    """A C buffer with exactly `content`."""
    return ctypes.create_string_buffer(content, len(content))
