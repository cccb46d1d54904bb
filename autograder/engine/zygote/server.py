"""The zygote: imports torch once, then forks judges and workers that are ready at once.

It is executed with a clean environment, runs no student code and never holds a secret, a grader
or a solution, so that a fork of it holds none either. It runs no kernel of torch, hence has one
thread when it forks. Requests are JSON lines on a control socket with descriptors attached:

    {"op": "judge", "module": …}                     fds: connection, control (ours), control (its)
    {"op": "worker", "scratch": …, "limits": {…}, "counted": …}   fds: channel, output pipe
        -> {"pid": n} with a pidfd attached
        -> {"exit": n, "status": wait status, "peak_bytes": …, …}   when it ended
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from autograder.engine import sandbox
from autograder.engine.control import Control, import_early
from autograder.engine.messages import Messages
from autograder.engine.sandbox import Prepared, WorkerLimits, policy
from autograder.engine.zygote import hugepages

FORK_SECONDS = 60.0  # how long a fork is tried
PAUSE_SECONDS = 0.05
_FOR_NOW = frozenset({errno.EAGAIN, errno.ENOMEM})


class ZygoteServer:
    """Serves control sockets until the first one, the command line's, is closed."""

    def __init__(self, control: Control, prepared: Prepared) -> None:
        self._root = control
        self._prepared = prepared
        self._selector = selectors.DefaultSelector()
        self._selector.register(control.sock, selectors.EVENT_READ, control)
        self._children: dict[int, tuple[int, Control]] = {}  # pidfd -> (pid, who asked)

    def serve(self) -> None:
        """Answer requests and report children that ended."""
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, Control):
                    if not self._request(key.data):
                        return
                    break  # it may have reaped children, whose descriptors can be taken again
                self._reap(key.fd)

    def _request(self, control: Control) -> bool:
        try:
            while True:
                message = control.receive()
                if message["op"] == "judge":
                    self._fork_judge(control, message)
                else:
                    self._fork_worker(control, message)
                if not control.pending:
                    return True
        except (EOFError, ConnectionError):
            self._selector.unregister(control.sock)
            control.sock.close()
            return control is not self._root

    def _fork(self) -> int:
        """`os.fork`, which waits while there are too many processes or too little memory.

        One worker may have started as many threads as its user may have: its judge will end it.
        """
        patience = time.monotonic() + FORK_SECONDS
        while True:
            try:
                return os.fork()
            except OSError as error:
                if error.errno not in _FOR_NOW or time.monotonic() >= patience:
                    raise
            self._reap_ended()
            time.sleep(PAUSE_SECONDS)

    def _reap_ended(self) -> None:
        for key, _ in self._selector.select(0):
            if not isinstance(key.data, Control):
                self._reap(key.fd)

    def _fork_judge(self, control: Control, message: dict[str, Any]) -> None:
        connection, ours, its = control.fds(3)
        pid = self._fork()
        if pid == 0:
            with _never_return():
                sandbox.die_with_parent()  # also one that is at work and reads nothing
                self._forget({connection, its})
                become_judge(message["module"], connection, its)
        os.close(connection)
        os.close(its)
        judge = Control(socket.socket(fileno=ours))
        self._selector.register(judge.sock, selectors.EVENT_READ, judge)
        self._announce(pid, control)

    def _fork_worker(self, control: Control, message: dict[str, Any]) -> None:
        channel, output = control.fds(2)
        pid = self._fork()
        if pid == 0:
            with _never_return():
                self._selector.close()
                become_worker(self._prepared, channel, output, message, os.getpid())
        os.close(channel)
        os.close(output)
        self._announce(pid, control)

    def _announce(self, pid: int, control: Control) -> None:
        pidfd = os.pidfd_open(pid)
        self._children[pidfd] = (pid, control)
        self._selector.register(pidfd, selectors.EVENT_READ, None)
        control.send({"pid": pid}, (pidfd,))

    def _reap(self, pidfd: int) -> None:
        pid, control = self._children.pop(pidfd)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)  # whatever it may have left behind in its group
        _, status, usage = os.wait4(pid, 0)
        facts = {
            "peak_bytes": usage.ru_maxrss * 1024,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "read_bytes": usage.ru_inblock * 512,
        }
        with contextlib.suppress(OSError):  # the judge may be gone
            control.send({"exit": pid, "status": status, **facts})

    def _forget(self, keep: set[int]) -> None:
        """In a forked child: close every descriptor but `keep` and the standard ones."""
        self._selector.close()
        previous = 2
        for fd in [*sorted(keep), os.sysconf("SC_OPEN_MAX")]:
            os.closerange(previous + 1, fd)
            previous = fd


class _never_return(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a statement
    """A forked child ends here, whatever happens: it must not go on as a second zygote."""

    def __exit__(self, *error: object) -> None:
        if error[1] is not None:
            sys.excepthook(*error)  # type: ignore[arg-type]
        os._exit(70)


def become_worker(
    prepared: Prepared, channel: int, output: int, message: dict[str, Any], slot: int
) -> None:
    """Confine this process and serve the student's modules on `channel`."""
    from autograder.engine.channel.frames import FrameLimits
    from autograder.engine.worker import server

    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)
    limits = WorkerLimits(**message["limits"])
    scratch = Path(message["scratch"])
    isolation = policy.confine(prepared, scratch, limits, channel, slot, message["counted"])
    server.run(socket.socket(fileno=channel), FrameLimits(body_bytes=limits.reply_bytes), isolation)


def become_judge(module: str, connection: int, control: int) -> None:
    """Turn this fork into the judge `module`, which then learns the course and its secret."""
    judge = importlib.import_module(module)
    judge.main(Messages(socket.socket(fileno=connection)), Control(socket.socket(fileno=control)))


def main(
    control_fd: int,
    preload: list[str],
    withhold: list[str],
    disabled_mechanisms: list[str],
    huge_pages: bool,
) -> None:
    """Import everything heavy, then serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the command line
    gc.disable()  # collections while importing cost a third of the time and free nothing
    import_early(preload)
    from autograder.engine import compiler

    compiler.leave_out()
    sandbox.hide_memory()
    sandbox.freeze_access_times()
    prepared = policy.prepare(withhold, disabled_mechanisms)
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page of the heap
    gc.enable()
    if huge_pages:
        hugepages.collapse()
    ZygoteServer(Control(socket.socket(fileno=control_fd)), prepared).serve()
    os._exit(0)
