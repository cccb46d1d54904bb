"""Two workers of one submission try to talk: what the first one does must not show in the second.

Both are alive at the same time and know each other's process id, which is more than two workers of
a round trip ever have. The answer of the second one must be the same whatever bit the first one
had; the same sources without a sandbox show that the test would see it.
"""

import contextlib
import ctypes
import functools
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import autograder
from autograder.engine.sandbox import kernel
from tests.engine.test_sandbox import (
    IDENTITIES,
    NOBODY,
    each_identity,
    interpreter,
    needs_both,
    run,
    scratch_folder,
    start,
)

COMMON = """
import ctypes, fcntl, mmap, os, resource, socket, struct, threading, time
libc = ctypes.CDLL(None, use_errno=True)
kept = globals().setdefault("kept", [])
def opened(name):
    kept.append(open(f"{folder}/{name}", "rb"))
    return kept[-1].fileno()
def lock(kind):
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 1, 0)
def word(name):  # address of a word in a page of a file that others map too
    libc.mmap.restype = ctypes.c_void_p
    return libc.mmap(None, 4096, 1, 1, opened(name), 0)
def tried(function):
    try: return function()
    except Exception as error: return type(error).__name__
"""

# What one worker does if its bit is 1, and what the other one sees. `folder` holds a file of its
# own for each channel, which both may read; `peer` is the process id of the first one.
CHANNELS = {
    "record locks": (
        "fcntl.fcntl(opened('record'), fcntl.F_SETLK, lock(fcntl.F_RDLCK))",
        "fcntl.fcntl(opened('record'), fcntl.F_GETLK, lock(fcntl.F_WRLCK))[:2].hex()",
    ),
    "record locks, by trying": (
        "fcntl.fcntl(opened('tried'), fcntl.F_SETLK, lock(fcntl.F_RDLCK))",
        "fcntl.fcntl(opened('tried'), 36, lock(fcntl.F_WRLCK))[:2].hex()",
    ),
    "locks of open files": (
        "fcntl.fcntl(opened('ofd'), 37, lock(fcntl.F_RDLCK))",
        "fcntl.fcntl(opened('ofd'), 36, lock(fcntl.F_WRLCK))[:2].hex()",
    ),
    "flock": (
        "fcntl.flock(opened('flock'), fcntl.LOCK_EX)",
        "fcntl.flock(opened('flock'), fcntl.LOCK_EX | fcntl.LOCK_NB)",
    ),
    "leases": (
        "opened('lease')",
        "fcntl.fcntl(opened('lease'), fcntl.F_SETLEASE, fcntl.F_WRLCK)",
    ),
    "hints of files": (
        "fcntl.fcntl(opened('hint'), 1036, struct.pack('Q', 5))",
        "fcntl.fcntl(opened('hint'), 1035, bytes(8)).hex()",
    ),
    "page cache, by mincore": (
        "os.posix_fadvise(opened('mincore'), 0, 0, os.POSIX_FADV_DONTNEED)",
        "(a := word('mincore'), v := ctypes.create_string_buffer(1), "
        "libc.mincore(ctypes.c_void_p(a), 4096, v), v.raw.hex())[2:]",
    ),
    "page cache, by preadv2": (
        "os.posix_fadvise(opened('preadv2'), 0, 0, os.POSIX_FADV_DONTNEED)",
        "os.preadv(opened('preadv2'), [bytearray(1)], 0, os.RWF_NOWAIT)",
    ),
    "page cache, by madvise": (
        "libc.madvise(ctypes.c_void_p(word('madvise')), 4096, 21)",
        "libc.mincore(ctypes.c_void_p(word('madvise')), 4096, ctypes.create_string_buffer(1))",
    ),
    "waiting on a word of a file": (
        "(a := word('futex'), t := threading.Thread(target=lambda: libc.syscall("
        "FUTEX, ctypes.c_void_p(a), 0, 0x30303030, None), daemon=True), t.start(), "
        "time.sleep(0.3))",
        "libc.syscall(FUTEX, ctypes.c_void_p(word('futex')), 1, 99)",
    ),
    "processor time of another": (
        "[sum(range(100000)) for _ in range(1500)]",
        "time.clock_gettime((~peer << 3) | 2) > 0.4",
    ),
    "session of another": ("os.setsid()", "os.getsid(peer) == peer"),
    "priority of another": (
        "os.setpriority(os.PRIO_PROCESS, 0, 19)",
        "os.getpriority(os.PRIO_PROCESS, peer)",
    ),
    "input and output priority": (
        "libc.syscall(IOPRIO_SET, 1, 0, 0x6007)",
        "libc.syscall(IOPRIO_GET, 1, peer)",
    ),
    "limits of another": (
        "resource.setrlimit(resource.RLIMIT_SIGPENDING, (100, 100))",
        "resource.prlimit(peer, resource.RLIMIT_SIGPENDING)",
    ),
    "processors of another": (
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
        "sorted(os.sched_getaffinity(peer))",
    ),
    "scheduling of another": (
        "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))",
        "os.sched_getscheduler(peer)",
    ),
    "abstract sockets": (
        "(s := socket.socket(socket.AF_UNIX), s.bind(chr(0) + token), s.listen(), kept.append(s))",
        "socket.socket(socket.AF_UNIX).connect(chr(0) + token)",
    ),
    "ports": (
        "(s := socket.socket(), s.bind(('127.0.0.1', port)), s.listen(), kept.append(s))",
        "socket.create_connection(('127.0.0.1', port)) and 'connected'",
    ),
    "System V memory": ("libc.shmget(key, 4096, 0o1666)", "libc.shmget(key, 0, 0) >= 0"),
    "System V semaphores": ("libc.semget(key, 1, 0o1666)", "libc.semget(key, 0, 0) >= 0"),
    "System V messages": ("libc.msgget(key, 0o1666)", "libc.msgget(key, 0) >= 0"),
    "POSIX messages": (
        "libc.mq_open(b'/' + token.encode(), 0o102, 0o666, None)",
        "libc.mq_open(b'/' + token.encode(), 0) >= 0",
    ),
    "POSIX memory": (
        "open(f'/dev/shm/{token}', 'w')",
        "open(f'/dev/shm/{token}') and 'opened'",
    ),
    "named pipes": ("os.mkfifo(f'{shelf}/fifo')", "os.stat(f'{shelf}/fifo') and 'there'"),
    "files beside": ("open(f'{shelf}/file', 'w')", "os.stat(f'{shelf}/file') and 'there'"),
    "extended attributes": (
        "os.setxattr(f'{folder}/attribute', 'user.bit', b'1')",
        "os.getxattr(f'{folder}/attribute', 'user.bit').hex()",
    ),
    "modes": ("os.chmod(f'{folder}/mode', 0o640)", "os.stat(f'{folder}/mode').st_mode"),
    "times": ("os.utime(f'{folder}/time', (9, 9))", "os.stat(f'{folder}/time').st_mtime == 9"),
    "links": (
        "os.link(f'{folder}/link', 'link')",
        "os.stat(f'{folder}/link').st_nlink",
    ),
    "watches": (
        "kept.append(libc.inotify_init1(0))",
        "(w := libc.inotify_init1(0), libc.inotify_add_watch(w, folder.encode(), 0xFFF)) > (-1, 0)",
    ),
}
# Those that carry a bit for every user and on every file system, where nothing prevents it.
SURE = (
    *("record locks", "record locks, by trying", "locks of open files", "flock"),
    *("waiting on a word of a file", "processor time of another", "priority of another"),
    *("limits of another", "abstract sockets", "ports"),
    *(("processors of another",) if len(os.sched_getaffinity(0)) > 1 else ()),
    *("System V memory", "System V semaphores", "System V messages", "POSIX memory"),
    *("named pipes", "files beside", "modes", "times"),
)
NUMBERS = {"x86_64": (202, 251, 252), "aarch64": (98, 30, 31)}


@contextlib.contextmanager
def ground(identity: str) -> Iterator[str]:
    """A folder that both read, another that everybody may write; source that names them."""
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        folder, shelf = Path(base, "read"), Path(base, "shelf")
        for path, mode in ((Path(base), 0o755), (folder, 0o755), (shelf, 0o777)):
            path.mkdir(exist_ok=True)
            path.chmod(mode)
        names = "record tried ofd flock lease hint mincore preadv2 madvise futex attribute"
        for name in (*names.split(), "mode", "time", "link"):
            with (folder / name).open("wb") as file:
                file.write(b"0" * 4096)
                os.fsync(file.fileno())
            if identity == "ordinary" and os.geteuid() == 0:
                os.chown(folder / name, NOBODY, NOBODY)
        futex, ioprio_set, ioprio_get = NUMBERS[kernel.machine() or "x86_64"]
        yield (
            f"folder, shelf = {str(folder)!r}, {str(shelf)!r}\n"
            f"token, key, port = {Path(base).name!r}, {os.getpid() * 7 + 3}, {port()}\n"
            f"FUTEX, IOPRIO_SET, IOPRIO_GET = {futex}, {ioprio_set}, {ioprio_get}\n"
        )


def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def seen(identity: str, bit: int, without: list[str]) -> dict[str, object]:
    """What the second worker sees of the first one, which had this bit, by channel."""
    with ground(identity) as names, scratch_folder(identity) as scratch:
        folder = eval(names.splitlines()[0].partition("=")[2])[0]
        options = {"read": [folder], "without": without, "own_user": False}
        if not without:
            options["own_user"] = identity == "root"
        sources = [f"tried(lambda: {publish})" for publish, _ in CHANNELS.values() if bit] + [
            "print(os.getpid(), flush=True)",
            "time.sleep(600)",
        ]
        first = start(
            identity, scratch, cases={"publish": "\n".join([names, COMMON, *sources])}, **options
        )
        try:
            assert first.stdout is not None
            names += f"peer = {int(first.stdout.readline())}\n"
            cases = {
                name: f"{names}{COMMON}\nresult.append(tried(lambda: {observe}))"
                for name, (_, observe) in CHANNELS.items()
            }
            return dict(run(identity, cases=cases, **options).results)
        finally:
            first.kill()
            first.communicate(timeout=60)
            clean(names)


def clean(names: str) -> None:
    """Remove what outlives the workers where nothing prevented it."""
    scope: dict[str, object] = {}
    exec(names, scope)
    libc = ctypes.CDLL(None)
    for get, control in (("shmget", "shmctl"), ("msgget", "msgctl")):
        number = getattr(libc, get)(scope["key"], 0, 0)
        if number >= 0:
            getattr(libc, control)(number, 0, None)
    number = libc.semget(scope["key"], 0, 0)
    if number >= 0:
        libc.semctl(number, 0, 0)
    libc.mq_unlink(f"/{scope['token']}".encode())
    Path(f"/dev/shm/{scope['token']}").unlink(missing_ok=True)


@functools.cache
def both(identity: str, *without: str) -> tuple[dict[str, object], dict[str, object]]:
    first, second = (seen(identity, bit, list(without)) for bit in (0, 1))
    return first, second


@pytest.mark.slow
@needs_both
@each_identity
@pytest.mark.parametrize("channel", CHANNELS)
def test_no_bit_crosses(identity: str, channel: str) -> None:
    zero, one = both(identity)
    assert zero[channel] == one[channel]


@needs_both
@pytest.mark.parametrize("channel", SURE)
def test_the_bit_would_be_seen_without_a_sandbox(channel: str) -> None:
    zero, one = both("ordinary", "landlock", "seccomp", "user", "network")
    assert zero[channel] != one[channel]


# ---- counters of the machine ---------------------------------------------------------------------

HARMLESS = {"/proc/cpuinfo"}


def counters() -> list[str]:
    """Every file about the machine in /proc, and every one about processors and memory in /sys."""
    found = list(Path("/proc").glob("[!0-9]*"))
    for folder in ("/proc/sys/fs", "/proc/sys/vm", "/proc/sys/kernel/random", "/proc/pressure"):
        found += Path(folder).glob("*")
    for pattern in ("*/*", "*/*/*", "cpu/*/cpuidle/*/*", "cpu/cpufreq/*/*"):
        found += Path("/sys/devices/system").glob(pattern)
    return sorted(str(path) for path in found if path.is_file())


@needs_both
@each_identity
def test_nothing_that_counts_can_be_read(identity: str) -> None:
    """What is left says how many processors there are: it reads the same at any time."""
    source = """
result.append([])
for path in paths:
    try: open(path, "rb").read(1)
    except OSError: pass
    else: result[0].append(path)
"""
    cases = {"read": f"paths = {counters()!r}\n{source}"}
    readable = run(identity, cases=cases).results["read"]
    fixed = {"online", "possible", "present", "kernel_max", "has_cpu", "cpulist", "cpumap"}
    fixed |= {"distance", "cpu_capacity"}
    counting = [path for path in set(readable) - HARMLESS if Path(path).name not in fixed]
    assert counting == []


@needs_both
@each_identity
def test_free_space_cannot_be_asked_for(identity: str) -> None:
    cases = {
        "path": "import os; os.statvfs('.')",
        "descriptor": "import os; os.fstatvfs(1)",
    }
    assert run(identity, cases=cases).results == dict.fromkeys(cases, "OSError")


# ---- access times --------------------------------------------------------------------------------

ACCESS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from autograder.engine import sandbox
held = sandbox.freeze_access_times()
os.utime(sys.argv[2], (0, os.stat(sys.argv[2]).st_mtime))
open(sys.argv[2]).read()
assert not held or os.stat(sys.argv[2]).st_atime == 0
print(held)
"""


def test_reading_leaves_no_access_time(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    root = str(Path(autograder.__file__).resolve().parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-c", ACCESS, root, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() == "False":
        pytest.skip("only root with CAP_SYS_ADMIN can")


# ---- what goes on working ------------------------------------------------------------------------


@needs_both
@each_identity
def test_locks_and_advice_are_granted(identity: str) -> None:
    """Code that locks or advises in good faith does not fail, in its folder or on a library."""
    cases = {
        "flock": "import fcntl; f = open('f', 'w'); fcntl.flock(f, fcntl.LOCK_EX)",
        "lockf": "import fcntl; f = open('f', 'w'); fcntl.lockf(f, fcntl.LOCK_EX)",
        "advice": (
            "import os; f = open(os.__file__)\n"
            "os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)"
        ),
        "mapped advice": (
            "import mmap; f = open('f', 'w+b'); f.write(bytes(4096)); f.flush()\n"
            "m = mmap.mmap(f.fileno(), 0); m.madvise(mmap.MADV_WILLNEED)\n"
            "m.madvise(mmap.MADV_DONTNEED)"
        ),
        "vectors": (
            "import os; f = os.open('v', os.O_RDWR | os.O_CREAT); os.pwritev(f, [b'ab'], 0)\n"
            "assert os.preadv(f, [bytearray(2)], 0) == 2"
        ),
        "clocks": (
            "import time; time.process_time(); time.thread_time(); time.monotonic()\n"
            "time.clock_gettime(time.CLOCK_BOOTTIME)"
        ),
        "joined threads": (
            "import threading, queue; q = queue.Queue()\n"
            "t = [threading.Thread(target=q.put, args=(i,)) for i in range(8)]\n"
            "[x.start() for x in t]; [x.join() for x in t]; assert q.qsize() == 8"
        ),
    }
    assert run(identity, cases=cases).results == dict.fromkeys(cases, "done")


def test_an_interpreter_for_both() -> None:
    """The tests above skip where an ordinary user has none; root's own always runs."""
    assert interpreter("root")
    assert len(IDENTITIES) == 2
