"""Resource limits of a worker and its environment, on every POSIX system."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import resource

_MIB = 1024**2
_GIB = 1024**3
_LINUX_ONLY = {"MSGQUEUE": 0, "SIGPENDING": 256, "NICE": 0, "RTPRIO": 0}
_RESERVED = 16 * _GIB  # address space that threads reserve and never touch
_ELBOW_ROOM = 4096  # threads of the user's other programs while a worker runs


@dataclass(frozen=True)
class WorkerLimits:
    """What one worker process may use, for its whole life.

    The kernel enforces `cpu_seconds` (all threads together: a signal then, the end one second
    later), `memory_bytes` (private writable memory beyond what it was forked with; None: no bound),
    `file_bytes` (one file), `open_files` and `threads` (only where the worker has a user of its
    own). Deleted files that are still open escape a count by name, so `file_bytes` times
    `open_files` is at most `scratch_bytes`: ValueError otherwise.

    The process that started it holds the clock and watches `memory_bytes` (resident, and its files
    where these lie in memory), `scratch_bytes` (its folder), `reply_bytes` (one frame) and
    `output_bytes` (what it prints, the rest is dropped).
    """

    cpu_seconds: int
    memory_bytes: int | None = None
    file_bytes: int = 8 * _MIB
    open_files: int = 32
    threads: int = 256
    scratch_bytes: int = 256 * _MIB
    reply_bytes: int = 256 * _MIB
    output_bytes: int = 64 * 1024

    def __post_init__(self) -> None:
        if self.file_bytes * self.open_files > self.scratch_bytes:
            raise ValueError("open_files files of file_bytes are more than scratch_bytes")


def apply(limits: WorkerLimits, threads: int | None) -> tuple[str, ...]:
    """Set the limits on this process, for good; returns those that the system did not take.

    `threads` bounds the threads of this process's *user* (None: no bound).
    """
    refused = []
    if limits.memory_bytes is not None and sys.platform != "linux":
        refused.append("DATA")  # nothing comparable elsewhere
    for name, soft, hard in _values(limits, threads):
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is None or not _lower(number, soft, hard):
            refused.append(name)
    return tuple(refused)


def _values(limits: WorkerLimits, threads: int | None) -> Iterator[tuple[str, int, int]]:
    yield "CPU", limits.cpu_seconds, limits.cpu_seconds + 1
    for name, value in {
        "FSIZE": limits.file_bytes,
        "NOFILE": limits.open_files,
        "CORE": 0,
        "MEMLOCK": 0,
        "STACK": 64 * _MIB,
    }.items():
        yield name, value, value
    if threads is not None:
        yield "NPROC", threads, threads
    if sys.platform != "linux":
        return
    for name, value in _LINUX_ONLY.items():
        yield name, value, value
    if limits.memory_bytes is not None:
        size, data = _memory()
        private = data + limits.memory_bytes
        yield "DATA", private, private
        address_space = size + 2 * limits.memory_bytes + _RESERVED
        yield "AS", address_space, address_space


def end_first() -> None:
    """Have the kernel end this process before others where memory runs out (Linux).

    In a container with less memory than a worker may take, it would else choose by size, and the
    judge, without which nothing is reported, may be as large. Best effort: no right depends on it.
    """
    with contextlib.suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)


def _lower(number: int, soft: int, hard: int) -> bool:
    """Set a limit, never above the present one, which is lower for a reason."""
    now_soft, now_hard = resource.getrlimit(number)
    try:
        resource.setrlimit(number, (_smaller(soft, now_soft), _smaller(hard, now_hard)))
    except (OSError, ValueError):
        return False
    return True


def _smaller(value: int, present: int) -> int:
    return value if present == resource.RLIM_INFINITY else min(value, present)


def _memory() -> tuple[int, int]:
    """Address space and private writable memory of this process in bytes (Linux)."""
    descriptor = os.open("/proc/self/statm", os.O_RDONLY)
    fields = os.read(descriptor, 256).split()
    os.close(descriptor)
    page = resource.getpagesize()
    return int(fields[0]) * page, int(fields[5]) * page


def user_threads() -> int | None:
    """A bound on threads for a user who also runs other programs: those it has now and room.

    Counted once, in the zygote: a bound so wide ends a bomb, and no honest worker meets it.
    """
    total = 0
    try:
        folders = [entry for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        return None
    for folder in folders:
        try:
            if folder.stat().st_uid == os.getuid():
                total += len(os.listdir(f"{folder.path}/task"))  # noqa: PTH208
        except OSError:  # it ended meanwhile
            continue
    return total + _ELBOW_ROOM


def environment(scratch: Path) -> dict[str, str]:
    """The whole environment of a worker: settings that libraries need, no secrets.

    Every file that a library wants to keep goes to `scratch`.
    """
    passed = ("LANG", "LC_ALL", "LC_CTYPE", "TZ")
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    kept = {name: os.environ[name] for name in (*passed, *threads) if name in os.environ}
    folder = str(scratch)
    return kept | {
        "HOME": folder,
        "USER": "student",
        "TMPDIR": folder,
        "XDG_CACHE_HOME": folder,
        "MPLCONFIGDIR": folder,
        "TORCHINDUCTOR_CACHE_DIR": folder,
        "MPLBACKEND": "Agg",
        "ORT_DISABLE_TELEMETRY": "1",
        "PATH": "/usr/bin:/bin",
    }
