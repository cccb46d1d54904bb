"""What a fork of a process that holds torch costs, with and without huge pages.

    python -m benchmarks.forks

Prints processor milliseconds of fork, a little work in the child, and exit, and after how many
forks collapsing has paid.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import time

from rich.console import Console
from rich.table import Table

FORKS = 40


def cost() -> float:
    """Processor milliseconds of one fork with its child, parent and child together."""

    def used() -> float:
        both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = used()
    for _ in range(FORKS):
        pid = os.fork()
        if pid == 0:
            json.loads(json.dumps(list(range(1000))))
            os._exit(0)
        os.waitpid(pid, 0)
    return 1000 * (used() - before) / FORKS


def main() -> None:
    """Measure before and after `hugepages.collapse`, in one process."""
    import autograder.engine.worker.server  # noqa: F401 - what the zygote holds
    from autograder.engine.zygote import hugepages

    gc.collect()
    gc.freeze()
    plain = cost()
    started = time.process_time()
    pages = hugepages.collapse()
    collapsing = 1000 * (time.process_time() - started)
    huge = cost()
    table = Table(title="Fork, little work, exit: processor milliseconds")
    table.add_column("memory")
    table.add_column("ms", justify="right")
    table.add_row("4 kB pages", f"{plain:.1f}")
    table.add_row(f"{pages} pages of 2 MB", f"{huge:.1f}")
    table.add_row("ratio", f"{plain / huge:.1f}")
    table.add_row("collapsing, once", f"{collapsing:,.0f}")
    if plain > huge:
        table.add_row("worth it from so many forks", f"{collapsing / (plain - huge):,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
