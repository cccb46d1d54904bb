"""What the benchmarks share: the light assignment, and how a grader's process is measured."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograder.course import FinalProject

ROOT = Path(__file__).resolve().parent.parent
STARTER = ROOT / "solutions" / "s7_final_project"
PEERS = ROOT / ".cache" / "peers"
PEER_BIN = PEERS / ("Scripts" if sys.platform == "win32" else "bin")

GRACE_SECONDS = 0.5
"""For processes that outlive the one that was run."""

MODULE = "work"
SOLUTION = '''\
import torch


def sparsity(tensor):
    """Share of exact zeros."""
    return float((tensor == 0).sum()) / tensor.numel()


def magnitude_mask(weight, share):
    """0/1 mask that prunes the `share` of smallest magnitudes."""
    pruned = round(share * weight.numel())
    mask = torch.ones(weight.numel())
    mask[weight.abs().flatten().argsort()[:pruned]] = 0.0
    return mask.reshape(weight.shape)
'''
WRONG = """\
import torch


def sparsity(tensor):
    return 2.0


def magnitude_mask(weight, share):
    return torch.full_like(weight, 2.0)
"""
"""Fails every one of the four checks: whatever it earns beside an attack is forged."""


@dataclass(frozen=True)
class Check:
    """One check: the statements that make `got`, the condition on it, and what it belongs to."""

    name: str
    exercise: str
    call: str
    condition: str


CHECKS = (
    Check(
        "half_zeros",
        "sparsity",
        "got = {m}sparsity(torch.tensor([0.0, 1.0, 0.0, 2.0]))",
        "abs(got - 0.5) < 1e-6",
    ),
    Check("no_zeros", "sparsity", "got = {m}sparsity(torch.ones(3, 3))", "abs(got - 0.0) < 1e-6"),
    Check(
        "smallest",
        "magnitude_mask",
        "got = {m}magnitude_mask(torch.tensor([[3.0, -1.0], [2.0, 4.0]]), 0.5)",
        "torch.allclose(got, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))",
    ),
    Check(
        "nothing",
        "magnitude_mask",
        "got = {m}magnitude_mask(torch.tensor([5.0, -6.0]), 0.0)",
        "torch.allclose(got, torch.tensor([1.0, 1.0]))",
    ),
)
"""Two functions, four checks, one point each; every grader gets the same four."""


@dataclass(frozen=True)
class Run:
    """One grader's process from start to end, its descendants included.

    `wall` and `cpu` in seconds, `peak` the resident set in bytes of its largest process, `total`
    the largest sum of the proportional sets in bytes of all its processes (0: not sampled), `own`
    the same without pages of files, which the system can drop and read again.
    """

    status: int | None
    output: str
    wall: float
    cpu: float
    peak: int
    total: int = 0
    orphans: int = 0
    own: int = 0

    @property
    def timed_out(self) -> bool:
        """Whether it had to be killed."""
        return self.status is None


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    cpu: int | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float = 600.0,
    sample: bool = False,
    period: float = 0.25,
) -> Run:
    """Run a grader, pinned to processor `cpu`, and wait for every process that it leaves behind.

    Orphans are adopted, so that their processor time counts and none outlives the measurement.
    Children that the caller has already are none. `sample`: look at memory every `period` seconds.
    """
    own = frozenset(_children(os.getpid()))
    _adopt_orphans(True)
    pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=pin,
            start_new_session=True,
        )
        done = threading.Event()
        totals = [0, 0]
        watcher = threading.Thread(
            target=_watch, args=(process.pid, done, totals, period), daemon=True
        )
        if sample:
            watcher.start()
        expired = threading.Event()
        timer = threading.Timer(timeout, _end_tree, (process.pid, expired))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        timer.cancel()
        done.set()
        process.returncode = os.waitstatus_to_exitcode(status)
        orphans = _reap_orphans(own)
        _adopt_orphans(False)
        log.seek(0)
        output = log.read().decode("utf-8", "replace")
    return Run(
        None if expired.is_set() else process.returncode,
        output,
        wall,
        usage.ru_utime
        + usage.ru_stime
        + sum(orphan.ru_utime + orphan.ru_stime for _, orphan in orphans),
        1024 * max([usage.ru_maxrss, *(orphan.ru_maxrss for _, orphan in orphans)]),
        totals[0],
        sum(killed for killed, _ in orphans),
        totals[1],
    )


def _adopt_orphans(adopt: bool) -> None:
    """Become the parent of descendants whose parent ends, or no longer (Linux)."""
    if sys.platform == "linux":
        set_child_subreaper = 36
        ctypes.CDLL(None).prctl(set_child_subreaper, int(adopt), 0, 0, 0)


def _reap_orphans(own: Collection[int]) -> list[tuple[bool, resource.struct_rusage]]:
    """Wait for adopted processes; those that are still there after `GRACE_SECONDS` are killed.

    The children `own` are left alone: they were there before.
    """
    ended: list[tuple[bool, resource.struct_rusage]] = []
    deadline = time.monotonic() + GRACE_SECONDS
    killed = False
    while adopted := [child for child in _children(os.getpid()) if child not in own]:
        for child in adopted:
            pid, _, usage = os.wait4(child, os.WNOHANG)
            if pid:
                ended.append((killed, usage))
            elif time.monotonic() > deadline:
                killed = True
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)
    return ended


def _children(pid: int) -> list[int]:
    """Process ids of the children of all threads of a process."""
    children: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            children += [int(child) for child in (task / "children").read_text().split()]
    return children


def descendants(pid: int) -> list[int]:
    """Process ids below a process."""
    return [below for child in _children(pid) for below in (child, *descendants(child))]


def _tree(pid: int) -> list[int]:
    return [pid, *descendants(pid)]


def _end_tree(pid: int, expired: threading.Event) -> None:
    expired.set()
    for descendant in reversed(_tree(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(descendant, signal.SIGKILL)


def _watch(pid: int, done: threading.Event, totals: list[int], period: float) -> None:
    while not done.wait(period):
        sizes = [_proportional_bytes(process) for process in _tree(pid)]
        for place, values in enumerate(zip(*sizes)):
            totals[place] = max(totals[place], sum(values))


def _proportional_bytes(pid: int) -> tuple[int, int]:
    """Memory of a process, shared pages divided by the number of their users; without files."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0, 0
    sizes = {
        name: 1024 * int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)
    }
    return sizes["Pss"], sizes["Pss_Anon"] + sizes["Pss_Shmem"]


def processors() -> tuple[int, ...]:
    """Processors that this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


# ---- what several measure with -------------------------------------------------------------------


@contextlib.contextmanager
def burners(count: int, cpu: int | None = None) -> Iterator[None]:
    """So many processes that only burn time, all on one processor if it is given."""
    pin = "" if cpu is None else f"import os\nos.sched_setaffinity(0, {{{cpu}}})\n"
    command = [sys.executable, "-c", f"{pin}while True: pass"]
    started = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def final_project() -> FinalProject:
    """The rules of the course's final project; SystemExit without."""
    from autograder.course import load_course  # peers have an environment without the kit

    project = load_course(ROOT / "course.yaml").final_project
    if project is None:
        raise SystemExit("course.yaml has no final project")
    return project


def last_checkpoint(folder: Path) -> Path:
    """Of the final project's train.py, at low precision; the first one where there is none."""
    paths = folder.glob("quantised-*.pt")
    first = folder / "quantised-1.pt"
    return max(paths, key=lambda path: int(path.stem.rpartition("-")[2]), default=first)


def by_path(content: bytes, tool: Callable[[str, str], object]) -> bytes:
    """What a tool makes that reads one ONNX file and writes another."""
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        before.write_bytes(content)
        tool(str(before), str(after))
        return after.read_bytes()


def undated(figure: Path) -> dict[str, str | None]:
    """Metadata with which a figure drawn again is the same file."""
    return {"Date": None} if figure.suffix == ".svg" else {}
