"""What a worker may read: interpreter, libraries, the course's code without what is withheld."""

from __future__ import annotations

import os
import site
import stat
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_SYSTEM = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/sys/bus/pci/devices",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
    "/proc/cpuinfo",
    "/dev/urandom",
    "/dev/random",
)

# How many processors there are and how they are built. What lies beside counts events and states
# (idle times, frequencies, pages handed out): one worker could move a count, a later one read it.
_HARDWARE = (
    "cpu/online",
    "cpu/possible",
    "cpu/present",
    "cpu/kernel_max",
    "cpu/cpu[0-9]*/topology",
    "cpu/cpu[0-9]*/cache",
    "cpu/cpu[0-9]*/cpu_capacity",
    "node/online",
    "node/possible",
    "node/has_cpu",
    "node/node[0-9]*/cpulist",
    "node/node[0-9]*/cpumap",
    "node/node[0-9]*/distance",
)

_PROCESS = ("maps", "stat", "statm", "status")


class Carved(NamedTuple):
    """Paths readable with everything beneath, and folders of which only names can be listed."""

    whole: tuple[Path, ...]
    listed: tuple[Path, ...]


def interpreter() -> tuple[Path, ...]:
    """Folders of the running interpreter's Python code: standard library and site-packages."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += site.getsitepackages()
    if site.ENABLE_USER_SITE:
        paths.append(site.getusersitepackages())
    return tuple(Path(path) for path in dict.fromkeys(paths))


def system() -> tuple[Path, ...]:
    """What libraries read besides: shared objects, fonts, time zones, facts about the CPU.

    Nothing that counts what the machine does, as `/proc/stat` and `/proc/meminfo` do. Of `/proc`
    only what is about the hardware; see `own_process` for the rest.
    """
    prefixes = dict.fromkeys((sys.base_prefix, sys.prefix))
    devices = Path("/sys/devices/system")
    hardware = [path for pattern in _HARDWARE for path in sorted(devices.glob(pattern))]
    return (*(Path(prefix, "lib") for prefix in prefixes), *map(Path, _SYSTEM), *hardware)


def listed() -> tuple[Path, ...]:
    """Folders of which workers may see the names: where libraries look for processors."""
    devices = Path("/sys/devices/system")
    found = [devices / name for name in ("cpu", "node")]
    found += [path for kind in ("cpu", "node") for path in (devices / kind).glob(f"{kind}[0-9]*")]
    return tuple(path for path in found if path.is_dir())


def own_process() -> tuple[Path, ...]:
    """What libraries read about the process they run in (threadpoolctl: the loaded objects)."""
    return tuple(path for name in _PROCESS if (path := Path("/proc/self", name)).exists())


def is_reachable(path: Path) -> bool:
    """Whether `path` exists as far as this user can see; never raises, unlike `Path.exists`."""
    return os.access(path, os.F_OK)


def carve(readable: Iterable[Path], hidden: Iterable[Path]) -> Carved:
    """Cut `hidden` files and folders out of the `readable` ones.

    Landlock can only add rights beneath a folder, so a folder that holds something hidden is
    replaced by its other entries, recursively. Names in it stay visible, contents do not. Hiding
    `x.py` hides the `__pycache__` beside it, where the compiled form would be. Symbolic links
    inside a replaced folder are left out: their target has its own rule or none.
    """
    concealed = set()
    for path in hidden:
        real = path.resolve()
        concealed.add(real)
        if real.suffix == ".py":
            concealed.add(real.parent / "__pycache__")
    whole: list[Path] = []
    listed: list[Path] = []
    todo = [path.resolve() for path in readable if is_reachable(path)]
    seen: set[Path] = set()
    while todo:
        path = todo.pop()
        if path in seen or any(path.is_relative_to(one) for one in concealed):
            continue
        seen.add(path)
        if any(one.is_relative_to(path) for one in concealed):
            listed.append(path)
            todo += [child for child in path.iterdir() if not child.is_symlink()]
        else:
            whole.append(path)
    return Carved(_outermost(whole), tuple(sorted(listed)))


def _outermost(paths: Collection[Path]) -> tuple[Path, ...]:
    kept = set(paths)
    return tuple(sorted(path for path in kept if not kept.intersection(path.parents)))


def closed_to_others(paths: Iterable[Path]) -> Path | None:
    """First path that a user other than owner and group cannot read, judged by the mode bits.

    Looks at each path, at the folders that lead to it and at its entries one level down.
    """
    checked: set[Path] = set()
    for path in filter(is_reachable, paths):
        for folder in reversed(path.parents):
            if folder not in checked and not folder.stat().st_mode & stat.S_IXOTH:
                return folder
            checked.add(folder)
        for entry in (path, *_entries(path)):
            if not _is_open(entry):
                return entry
    return None


def _entries(path: Path) -> Iterator[Path]:
    return path.iterdir() if path.is_dir() else iter(())


def _is_open(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:  # a dangling link
        return True
    needed = stat.S_IROTH | (stat.S_IXOTH if stat.S_ISDIR(mode) else 0)
    return mode & needed == needed
