"""Lookups of files are counted: which calls, that they go on, and that nobody else can answer."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
from typing import Any

import pytest

from autograder.engine.sandbox import lookups, seccomp
from tests.engine.test_sandbox import (
    NOBODY,
    ROOT,
    each_identity,
    interpreter,
    needs_both,
    scratch_folder,
)
from tests.engine.test_sandbox_seccomp import MACHINES, simulate, verdict

# Every call of Linux that takes a path, from the headers.
WITH_A_PATH = """
    open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink
    readlinkat chdir chroot mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link
    linkat symlink symlinkat truncate chmod fchmodat fchmodat2 chown lchown fchownat utime utimes
    futimesat utimensat mknod mknodat statfs setxattr lsetxattr getxattr lgetxattr listxattr
    llistxattr removexattr lremovexattr execve execveat uselib acct swapon swapoff mount umount2
    pivot_root quotactl inotify_add_watch fanotify_mark name_to_handle_at open_tree move_mount
    fspick mount_setattr connect bind sendmsg sendmmsg
""".split()  # noqa: SIM905

ASK, ALLOW = 0x7FC00000, 0x7FFF0000


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_with_a_path_is_counted_or_not_made(machine: str) -> None:
    known = MACHINES[machine]
    code, architecture = lookups.program(machine), seccomp.AUDIT_ARCH[machine]
    made = {name for name in WITH_A_PATH if name in known and verdict(machine, name) == ALLOW}
    counted = {name for name in known if simulate(code, known[name], architecture) == ASK}
    assert made <= counted
    assert counted == {name for name in lookups.CALLS.split() if name in known}
    others = {simulate(code, known[name], architecture) for name in known if name not in counted}
    assert others == {ALLOW}
    assert len(code) // 8 < 256 + 3, "a jump reaches 255 instructions"


# ---- in a worker -----------------------------------------------------------------------------

HARNESS = """
import json, os, socket, sys
from pathlib import Path
options = json.loads(sys.argv[1])
sys.path.insert(0, options["root"])
from autograder.engine import sandbox
prepared = sandbox.prepare([], [], options["without"])
user = sandbox.worker_user(os.getpid() % 100_000) if options["own_user"] else None
channel = socket.socket(fileno=options["channel"])
pid = os.fork()
if pid == 0:
    sandbox.confine(
        prepared, Path(options["scratch"]), sandbox.WorkerLimits(cpu_seconds=60),
        keep=(channel.fileno(),), user=user, counted_at=channel.fileno(),
    )
    channel.sendall(b"begin\\n")
    channel.recv(1)
    try:
        out = []
        exec(options["source"], {"out": out})
    except BaseException as error:
        out = [repr(error)]
    channel.sendall(json.dumps(out).encode() + b"\\n")
    os._exit(0)
channel.close()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def counted(identity: str, source: str, without: tuple[str, ...] = ()) -> tuple[int | None, Any]:
    """How many lookups of `source` were seen (None: no counter), and what it appended to `out`."""
    ours, theirs = socket.socketpair()
    with ours, theirs, scratch_folder(identity) as scratch:
        options = {
            "root": str(ROOT),
            "scratch": str(scratch),
            "own_user": identity == "root",
            "channel": theirs.fileno(),
            "without": without,
            "source": source,
        }
        change: dict[str, Any] = {}
        if identity == "ordinary" and os.geteuid() == 0:
            change = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        command = [interpreter(identity), "-I", "-B", "-c", HARNESS, json.dumps(options)]
        with subprocess.Popen(command, cwd="/", pass_fds=(theirs.fileno(),), **change) as process:
            theirs.close()
            counter = lookups.Counter.received(ours, 120)
            said, before = b"", 0
            waited = [ours, *([counter.listener] if counter else [])]
            while said.count(b"\n") < 2:
                ready, _, _ = select.select(waited, [], [], 120)
                assert ready, f"it does not go on after {said!r}"
                if ours not in ready:
                    assert counter is not None
                    counter.answer()
                    continue
                data = ours.recv(10_000)
                assert data, f"it ended with {process.wait(60)} after {said!r}"
                said += data
                if said == b"begin\n":
                    before = counter.seen if counter is not None else 0
                    ours.sendall(b"!")
            assert process.wait(60) == 0
        seen = None
        if counter is not None:
            seen = counter.seen - before
            counter.close()
        return seen, json.loads(said.splitlines()[1])


LOOKUPS = {
    "there": "import os; [out.append(os.path.exists(os.__file__)) for _ in range(40)]",
    "not there": "import os; [out.append(not os.access('nothing', 0)) for _ in range(40)]",
    "opened": "[open('/dev/null').close() for _ in range(40)]; out += [True] * 40",
    "refused": """
for _ in range(40):
    try: open('/etc/passwd')
    except PermissionError: out.append(True)
""",
    "folders": "import os; [os.mkdir(str(n)) for n in range(40)]; out += [True] * 40",
    "changes": "import os; [os.chdir('.') for n in range(40)]; out += [True] * 40",
    "a thread's": """
import os, threading
def look(): out.append(not os.access('nothing', 0))
for _ in range(40):
    thread = threading.Thread(target=look); thread.start(); thread.join()
""",
}


@needs_both
@each_identity
@pytest.mark.parametrize("kind", LOOKUPS)
def test_lookups_are_counted_and_go_on(identity: str, kind: str) -> None:
    seen, out = counted(identity, LOOKUPS[kind])
    if seen is None:
        pytest.skip("this kernel counts none, or somebody counts already")
    assert out == [True] * 40
    assert seen >= 40


@needs_both
@each_identity
def test_work_without_files_is_not_counted(identity: str) -> None:
    source = "import os; r, w = os.pipe(); [os.write(w, b'x') for _ in range(99)]; os.fstat(0)"
    seen, _ = counted(identity, source)
    assert seen is None or seen < 5


@needs_both
@each_identity
def test_a_worker_cannot_count_for_itself(identity: str) -> None:
    """Its end of the listener is closed: there is no descriptor but the channel."""
    source = """
import os
for number in range(3, 1024):
    try: out.append([number, os.fstat(number).st_mode >> 12])
    except OSError: pass
"""
    _, out = counted(identity, source)
    assert [mode for _, mode in out] == [0o14], "the channel, a socket"


@each_identity
def test_without_seccomp_there_is_no_counter(identity: str) -> None:
    assert counted(identity, "out.append(1)", ("seccomp", "landlock", "network")) == (None, [1])


def test_a_worker_that_never_comes_has_no_counter() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        theirs.close()
        assert lookups.Counter.received(ours, 5) is None
