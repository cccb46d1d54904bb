"""Confinement of one worker process by the kernel, without root and without containers.

    prepared = prepare(read, hidden)                      in the zygote, once
    if os.fork() == 0:
        isolation = confine(prepared, scratch, limits)    in the child, before student code

Everything that can be is done in the zygote: what the kernel offers is asked once, folders are
opened, the filter of system calls is assembled. A worker then makes about a hundred system calls.

`confine` returns what is really in force, as a `records.Isolation`:

* **strict**: Landlock decides on files and seccomp on system calls, the worker is not root and
  has no capability (as root on a machine whose interpreter only root can reach, it may search
  folders, within Landlock's rules), every limit is set;
* **partial**: something of that is missing;
* **process**: a separate process with resource limits only (macOS, very old kernels).

What no level covers: names, sizes and times of files outside can be asked for (`stat`); names in a
folder that holds something hidden can be listed; files that are deleted while still open fill the
disk until the worker dies (the judge watches `scratch.DiskUsage.free_bytes`).
"""

from __future__ import annotations

from autograder.engine.sandbox.confinement import MECHANISMS, Prepared, confine, prepare
from autograder.engine.sandbox.limits import WorkerLimits, environment
from autograder.engine.sandbox.privileges import (
    User,
    die_with_parent,
    freeze_access_times,
    hidden_memory,
    hide_memory,
    worker_user,
)
from autograder.engine.sandbox.probing import Mechanism, probe

__all__ = [
    "MECHANISMS",
    "Mechanism",
    "Prepared",
    "User",
    "WorkerLimits",
    "confine",
    "die_with_parent",
    "environment",
    "freeze_access_times",
    "hidden_memory",
    "hide_memory",
    "prepare",
    "probe",
    "worker_user",
]
