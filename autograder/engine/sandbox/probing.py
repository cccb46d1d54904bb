"""What this machine can enforce, for `autograder doctor`."""

from __future__ import annotations

import sys
from typing import NamedTuple

from autograder.engine.sandbox import landlock, paths, privileges
from autograder.engine.sandbox.confinement import is_root, unavailable


class Mechanism(NamedTuple):
    """One way to confine a worker: whether it works here, in what form or why not, and for what."""

    name: str
    available: bool
    detail: str
    protects: str


def probe() -> tuple[Mechanism, ...]:
    """Ask this machine for each mechanism; changes nothing."""
    reasons = unavailable()

    def mechanism(name: str, detail: str, protects: str) -> Mechanism:
        reason = reasons.get(name, "")
        return Mechanism(name, not reason, reason or detail, protects)

    user_works, user_detail = _user(reasons)
    return (
        mechanism(
            "landlock",
            f"ABI {landlock.abi()}" if "landlock" not in reasons else "",
            "graders, solutions, results, home folder, other submissions and processes",
        ),
        mechanism(
            "seccomp",
            "an allow-list of system calls",
            "network, other processes, modes of files; no subprocesses",
        ),
        Mechanism(
            "user",
            user_works,
            user_detail,
            "files and processes of the person who grades, where that is root",
        ),
        mechanism(
            "network",
            "an empty network, used where seccomp is missing",
            "the network",
        ),
        mechanism(
            "limits",
            "resource limits",
            "the machine: CPU time, memory, size and number of files",
        ),
    )


def _user(reasons: dict[str, str]) -> tuple[bool, str]:
    """Whether workers are not root, and how or why not."""
    if sys.platform != "linux":
        return False, reasons["user"]
    if not is_root():
        return True, "workers run as you, who are not root"
    closed = paths.closed_to_others(paths.interpreter())
    can_search = privileges.capabilities() >> privileges.CAP_DAC_READ_SEARCH & 1
    if closed is not None and ("landlock" in reasons or not can_search):
        return False, f"{closed} is closed to other users; install Python where they can read it"
    return True, "each worker has a user of its own"
