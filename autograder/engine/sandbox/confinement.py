"""`prepare` in the zygote, `confine` in each worker: the mechanisms in their one right order."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from autograder.engine.sandbox import (
    kernel,
    landlock,
    limits,
    lookups,
    paths,
    privileges,
    seccomp,
)
from autograder.engine.sandbox.limits import WorkerLimits
from autograder.engine.sandbox.privileges import User
from autograder.errors import EngineError
from autograder.records import Isolation

MECHANISMS = ("landlock", "seccomp", "user", "network", "limits")

_CHANGE_USER = 1 << privileges.CAP_CHOWN | 1 << privileges.CAP_SETUID | 1 << privileges.CAP_SETGID


@dataclass(frozen=True)
class Prepared:
    """What the zygote found out and opened; a forked worker inherits it.

    `own` are the paths by which a worker reads about itself, to be opened by the worker.
    `missing` gives the reason for each of `MECHANISMS` that is known not to work here. `closed` is
    a path of the interpreter that only its owner can read.
    """

    pid: int
    capabilities: int
    abi: int
    grants: tuple[landlock.Grant, ...]
    own: tuple[Path, ...]
    program: seccomp.Program | None
    threads: int | None
    closed: Path | None
    missing: Mapping[str, str]

    def close(self) -> None:
        """Close the descriptors; the zygote itself never needs to."""
        for grant in self.grants:
            os.close(grant.descriptor)


def prepare(
    read: Iterable[Path] = (), hidden: Iterable[Path] = (), disabled: Collection[str] = ()
) -> Prepared:
    """Ask the kernel what it offers and open what workers may read; changes nothing yet.

    Workers read the interpreter, system libraries and `read`, less `hidden` (files or folders
    anywhere: graders, solutions, results, withheld modules). `disabled` names mechanisms to do
    without, as if this machine had none. Raises EngineError for a path in `read` that is missing
    and for an unknown name in `disabled`.
    """
    if unknown := set(disabled) - set(MECHANISMS):
        raise EngineError(f"unknown sandbox mechanism: {', '.join(sorted(unknown))}")
    readable = tuple(read)
    for path in readable:
        if not paths.is_reachable(path):
            raise EngineError(f"the worker is to read {path}, which is not there")
    missing = unavailable() | dict.fromkeys(disabled, "switched off")
    code = (*paths.interpreter(), *readable)
    try:
        abi = 0 if "landlock" in missing else landlock.abi()
        return Prepared(
            pid=os.getpid(),
            capabilities=privileges.capabilities() if sys.platform == "linux" else 0,
            abi=abi,
            grants=_open_grants(code, tuple(hidden)) if abi else (),
            own=paths.own_process() if abi else (),
            program=None if "seccomp" in missing else _assemble(abi),
            threads=None if is_root() else limits.user_threads(),
            closed=paths.closed_to_others(code) if is_root() else None,
            missing=missing,
        )
    except OSError as error:
        raise EngineError(f"the sandbox could not be prepared: {error}") from error


def is_root() -> bool:
    """Whether this process could give workers users of their own (Linux)."""
    return sys.platform == "linux" and os.geteuid() == 0


def unavailable() -> dict[str, str]:
    """Each of `MECHANISMS` that cannot work on this machine, with the reason."""
    reasons = {"landlock": landlock.available(), "seccomp": seccomp.available()}
    if sys.platform != "linux":
        reasons |= {"network": "only on Linux", "user": "only on Linux"}
    if sys.platform == "win32":
        reasons["limits"] = "Windows has none of this kind"
    return {name: reason for name, reason in reasons.items() if reason}


def _assemble(abi: int) -> seccomp.Program:
    machine = kernel.machine()
    assert machine is not None, "seccomp.available() said so"
    return seccomp.assemble(machine, may_truncate=abi >= 3)


def _open_grants(code: Iterable[Path], hidden: Collection[Path]) -> tuple[landlock.Grant, ...]:
    carved = paths.carve((*code, *paths.system()), hidden)
    return (
        *(landlock.grant(path, landlock.READ) for path in carved.whole),
        *(landlock.grant(path, landlock.LIST) for path in (*carved.listed, *paths.listed())),
        landlock.grant(Path(os.devnull), landlock.DEVICE),
    )


class _Fact(NamedTuple):
    """Something in force, or with a `reason` not; `confines` if it does more than bound usage."""

    text: str
    reason: str = ""
    confines: bool = False


class _Rights(NamedTuple):
    """Whose rights the worker gets: `user` if it changes to one, and capabilities it keeps."""

    user: User | None
    kept: int
    fact: _Fact


def confine(
    prepared: Prepared,
    scratch: Path,
    limit: WorkerLimits,
    *,
    keep: Collection[int] = (),
    user: User | None = None,
    counted_at: int | None = None,
) -> Isolation:
    """Confine this process for good, before it runs student code; returns what is in force.

    Call it in a child that has one thread. `scratch` is a private folder of the caller (see
    `scratch.make`), the only place that can be written; it becomes the working directory. `keep`
    are descriptors that stay open besides the standard three; input is replaced by the null
    device. `user` takes effect for root.
    `counted_at` is a socket of `keep`, at whose other end this worker's lookups are counted from
    here on (see `lookups.hand_over`).

    Raises EngineError if a mechanism fails that the kernel said it has: then do not go on.
    """
    try:
        return _isolation(_confine(prepared, scratch, limit, keep, user, counted_at))
    except OSError as error:
        raise EngineError(f"the process could not be confined: {error}") from error


def _isolation(facts: Sequence[_Fact]) -> Isolation:
    in_force = tuple(fact.text for fact in facts if not fact.reason)
    missing = tuple(f"{fact.text}: {fact.reason}" for fact in facts if fact.reason)
    confined = any(fact.confines and not fact.reason for fact in facts)
    return Isolation(
        "process" if not confined else "partial" if missing else "strict", in_force, missing
    )


def _confine(
    prepared: Prepared,
    scratch: Path,
    limit: WorkerLimits,
    keep: Collection[int],
    user: User | None,
    counted_at: int | None,
) -> list[_Fact]:
    """Each step closes a door that the steps before it still needed: the order matters."""
    _check_one_thread()
    grants = _all_grants(prepared, scratch)  # opened with the rights of before
    rights = _choose_rights(prepared, user)
    return [
        _detach(),
        *_leave_network(prepared),
        _give_up_rights(rights, prepared.capabilities, scratch),
        _settle(scratch),
        _bind_to_parent(prepared),
        _restrict_files(prepared, grants),
        _close_descriptors(keep),
        _limit(prepared, limit, rights),  # the zygote may hold more descriptors than allowed
        _restrict_calls(prepared, counted_at),
    ]


def _check_one_thread() -> None:
    try:
        threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    except OSError:  # not Linux, and then nothing here depends on it
        return
    if threads != 1:
        raise EngineError(f"the worker has {threads} threads; the kernel would confine only one")


def _all_grants(prepared: Prepared, scratch: Path) -> tuple[landlock.Grant, ...]:
    if "landlock" in prepared.missing:
        return ()
    return (
        *prepared.grants,
        *(landlock.grant(path, landlock.READ) for path in prepared.own),
        landlock.grant(scratch, landlock.SCRATCH),
    )


def _choose_rights(prepared: Prepared, user: User | None) -> _Rights:
    if not is_root():
        return _Rights(None, 0, _Fact("no root, no capabilities"))
    held = prepared.capabilities
    search = 1 << privileges.CAP_DAC_READ_SEARCH
    if "user" in prepared.missing:
        return _remain_root(prepared.missing["user"])
    if user is None:
        return _remain_root("no user was given")
    if held & _CHANGE_USER != _CHANGE_USER:
        return _remain_root("root may not change the user here")
    if prepared.closed is None:
        text = "a user of its own, no capabilities"
        return _Rights(user, 0, _Fact(text, confines=True))
    closed = f"{prepared.closed} is closed to other users"
    if "landlock" in prepared.missing or not held & search:
        return _remain_root(closed)
    text = f"a user of its own; may search folders, as {closed}, within Landlock's rules"
    return _Rights(user, search, _Fact(text, confines=True))


def _remain_root(reason: str) -> _Rights:
    return _Rights(None, 0, _Fact("a user of its own", f"root without capabilities; {reason}"))


def _detach() -> _Fact:
    """Leave the zygote's terminal and process group, standard input and environment behind."""
    if sys.platform != "win32":
        privileges.new_session()
    limits.end_first()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return _Fact("own session, no standard input")


def _leave_network(prepared: Prepared) -> list[_Fact]:
    """An empty network, needed only where seccomp does not forbid sockets."""
    text = "no network"
    if "seccomp" not in prepared.missing:
        return []
    if "network" in prepared.missing:
        return [_Fact(text, prepared.missing["network"])]
    try:
        privileges.leave_network()
    except OSError as error:
        return [_Fact(text, str(error))]
    return [_Fact(f"{text} (a namespace of its own)", confines=True)]


def _give_up_rights(rights: _Rights, held: int, scratch: Path) -> _Fact:
    if sys.platform == "linux":
        if rights.user is not None:
            os.chown(scratch, *rights.user, follow_symlinks=False)
        if held >> privileges.CAP_SETPCAP & 1:
            privileges.drop_bounding_set()
        if rights.user is not None:
            privileges.become(rights.user, rights.kept)
        privileges.keep_capabilities(rights.kept)
        privileges.forbid_new_privileges()
    return rights.fact


def _settle(scratch: Path) -> _Fact:
    os.umask(0o077)
    os.chdir(scratch)
    settings = limits.environment(scratch)
    for name in os.environ.keys() - settings.keys():
        del os.environ[name]
    os.environ.update(settings)
    tempfile.tempdir = None  # it may hold the zygote's
    return _Fact("private working directory and environment")


def _bind_to_parent(prepared: Prepared) -> _Fact:
    text = "hidden memory, ends with its parent"
    if sys.platform != "linux":
        return _Fact(text, "only on Linux")
    privileges.hide_memory()
    privileges.die_with_parent()
    if prepared.pid not in (os.getpid(), os.getppid()):
        raise EngineError("the zygote ended while it was forking a worker")
    return _Fact(text)


def _restrict_files(prepared: Prepared, grants: Iterable[landlock.Grant]) -> _Fact:
    if "landlock" in prepared.missing:
        return _Fact("Landlock", prepared.missing["landlock"])
    landlock.restrict(prepared.abi, grants)
    return _Fact(
        f"Landlock (ABI {prepared.abi}): reads the interpreter and the course's code, "
        "writes only to its scratch folder",
        confines=True,
    )


def _close_descriptors(keep: Collection[int]) -> _Fact:
    privileges.close_all_but({0, 1, 2, *keep})
    return _Fact("no inherited descriptors")


def _limit(prepared: Prepared, limit: WorkerLimits, rights: _Rights) -> _Fact:
    text = "limits on CPU time, memory, threads, open files and their size"
    if "limits" in prepared.missing:
        return _Fact(text, prepared.missing["limits"])
    refused = limits.apply(limit, limit.threads if rights.user else prepared.threads)
    return _Fact(text, f"the system refused {', '.join(refused)}" if refused else "")


def _restrict_calls(prepared: Prepared, counted_at: int | None) -> _Fact:
    if counted_at is not None:  # the next filter forbids to send descriptors
        lookups.hand_over(counted_at, wanted=prepared.program is not None)
    if prepared.program is None:
        return _Fact("seccomp", prepared.missing["seccomp"])
    seccomp.install(prepared.program, os.getpid())
    return _Fact(
        "seccomp: listed system calls only; no network, no new process, no signal to others",
        confines=True,
    )
