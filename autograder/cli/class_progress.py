"""How far a class is: a bar with counts by outcome and time left, and what Ctrl-C is answered."""

from __future__ import annotations

import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from autograder.records import Outcome, Report
from autograder.text_safety import clean_line

ESTIMATE_SECONDS = 600.0  # the time left follows the submissions of the last ten minutes
BAR_WIDTH = 16  # so that a line is whole at 60 columns


class ClassProgress:
    """Progress over a class on a console; without a terminal it only counts.

    `counts` has the results of exercises by outcome, those that a run keeps among them.
    """

    def __init__(self, console: Console, results: Path) -> None:
        self.counts: Counter[Outcome] = Counter()
        self.submissions = self.done_submissions = 0
        self._console, self._results = console, results
        self._doing = ""
        self._bar = _Bar(self._line, console)
        self._task = self._bar.add_task("", total=None)

    def planned(self, kept: Sequence[Report], submissions: int) -> None:
        """So many submissions there are, and of some the results stay: the bar begins there."""
        self.submissions, self.done_submissions = submissions, len(kept)
        self._count(kept)
        self._bar.update(self._task, total=submissions, completed=len(kept))

    def stage(self, doing: str) -> None:
        """What is being done while no submission is graded; "" when it is over."""
        self._doing = doing
        self._bar.refresh()

    def done(self, report: Report) -> None:
        """A submission is graded."""
        self._count([report])
        self.done_submissions += 1
        self._doing = clean_line(report.student, 24)
        self._bar.update(self._task, advance=1)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the bar; a first Ctrl-C is answered at once, then raises KeyboardInterrupt."""
        before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._interrupted)
        try:
            with self._bar:
                yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _count(self, reports: Iterable[Report]) -> None:
        self.counts.update(e.outcome for report in reports for e in report.exercises)

    def _line(self) -> str:
        """What is at work, and the counts in the order of `Outcome`."""
        counts = [
            f"{self.counts[outcome]} {outcome}" for outcome in Outcome if self.counts[outcome]
        ]
        exercises = f"exercises: {', '.join(counts)}" if counts else ""
        return "; ".join(part for part in (exercises, self._doing) if part)

    def _interrupted(self, _signal: int, _frame: FrameType | None) -> None:
        """Say what is kept before anything is tidied up, which waits for processes to end."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # tidying up is short, not to be broken off
        line = (
            f"interrupted: {self.done_submissions} of {self.submissions} submissions are graded "
            f"and kept in {self._results}; go on with: {_again(sys.argv)}"
        )
        with suppress(RuntimeError):  # the signal came in the middle of a write of the bar
            self._bar.stop()
            self._console.print(escape(line), highlight=False, soft_wrap=True)
            line = ""
        if line:
            sys.stderr.write(f"\n{line}\n")
        raise KeyboardInterrupt


class _Bar(Progress):
    """A progress bar with one line of text below."""

    def __init__(self, line: Callable[[], str], console: Console) -> None:
        self._text = line
        super().__init__(
            TextColumn("grading"),
            BarColumn(BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=ESTIMATE_SECONDS,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, and the line cut at the width of the terminal."""
        yield self.make_tasks_table(self.tasks)
        yield Text(self._text(), no_wrap=True, overflow="ellipsis")


def _again(arguments: Sequence[str]) -> str:
    """The command that continues the one that was typed."""
    resume = [] if "--resume" in arguments else ["--resume"]
    return shlex.join([Path(arguments[0]).name, *arguments[1:], *resume])
