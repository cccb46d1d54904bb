"""What Gradescope's container needs: memory and time of every session at half a processor.

    python -m benchmarks.container [--session s3] [--kind right] [--minutes 10]

Grades one submission at a time as `run_autograder` does, from the archive that `autograder export
gradescope` writes, with what `setup.sh` installs (no extra), pinned to one processor beside a
process that only burns time on it. Memory is the largest sum of the proportional sets of all
processes: pages that processes share count once, as they do for a container. *Own* leaves out
pages of files, which a container that is full drops and reads again: what is above 768 MB there
would have been stopped. Nothing is limited here. Seconds are those by the clock and of processor
time; with half a processor to itself a submission takes twice its processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from autograder.course import Course, Session
from autograder.integrations.gradescope.bundle import bundle
from benchmarks.common import ROOT, Run, burners, processors, run
from tests import bank, fresh

CONTAINER_MB, SHARE = 768, 0.5
ENDLESS = "\n\ndef {name}(*arguments, **named):\n    while True:\n        pass\n"
HOARD = (
    "\n\ndef {name}(*arguments, **named):\n    kept = []\n"
    "    while True:\n        kept.append(bytearray(b'x') * (1 << 24))\n"
)

Contents = Mapping[str, bytes]


@dataclass(frozen=True)
class Point:
    """One graded submission: its processes, and what results.json says (None: nothing written)."""

    session: str
    kind: str
    run: Run
    score: float | None


def submissions(session: Session) -> dict[str, Contents]:
    """The kinds of submissions of a session, by name."""
    if session.kind == "project":
        entry = bank.BANKS / session.folder / "samples" / "ada"
        files = {name: (entry / name).read_bytes() for name in ("model.onnx", "card.yaml")}
        return {"right": files, "broken": {**files, "model.onnx": b"\x08\x01"}, "blank": {}}
    solution = bank.solution(session)
    first = session.exercises[0]
    last = solution[first.file]
    texts = {
        "right": solution,
        "wrong": {n: data.decode() for n, data in bank.wrong(session)[0].submission.files},
        "blank": bank.blank(session),
        "endless": {**solution, first.file: last + ENDLESS.format(name=first.name)},
        "hoard": {**solution, first.file: last + HOARD.format(name=first.name)},
    }
    return {
        kind: {name: text.encode() for name, text in files.items()} for kind, files in texts.items()
    }


def unpack(course: Course, session: Session, minutes: float, folder: Path) -> Path:
    """The archive's files in `folder`; where its course.yaml lies."""
    for name, content in bundle(course, ROOT, session, minutes).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "course.yaml"


def _site(python: Path) -> Path:
    """Where packages of an environment lie."""
    return python.parents[1] / fresh.SITE.relative_to(sys.prefix)


def installed(folder: Path) -> Path:
    """An environment with what the kit needs and no extra; its interpreter."""
    python = fresh.environment(folder)
    site = _site(python)
    for about in fresh.SITE.glob("compression_course-*.dist-info"):
        shutil.copytree(about, site / about.name)
    return python


def measure(
    course: Course,
    session: Session,
    kind: str,
    files: Contents,
    minutes: float,
    cpu: int,
    beside: int,
    python: Path,
) -> Point:
    """Grade one submission as the harness does, on processor `cpu` with so many beside it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        for each in ("submission", "results"):
            (home / each).mkdir()
        for file, content in files.items():
            (home / "submission" / file).write_bytes(content)
        rules = unpack(course, session, minutes, home / "source")
        # The archive's own code, as its setup.sh would install it: what it lacks is missed here.
        (_site(python) / "kit.pth").write_text(f"{home / 'source'}\n", "utf-8")
        command: list[str | Path] = [python, "-I", "-m", "autograder", "gradescope", session.id]
        command += ["--minutes", f"{minutes:g}", "--home", home, "--course", rules]
        with burners(beside, cpu):
            done = run(
                command,
                cwd=home / "source",
                cpu=cpu,
                environment={"COURSE_DATA": ""},
                timeout=7200,
                sample=True,
            )
        try:
            results = json.loads((home / "results" / "results.json").read_text("utf-8"))
            score = float(results["score"])
        except (OSError, ValueError, KeyError):
            score = None
    return Point(session.id, kind, done, score)


def table_of(points: Sequence[Point], minutes: float) -> Table:
    """One row for each submission."""
    title = f"In {CONTAINER_MB} MB and with half a processor, {minutes:g} minutes"
    table = Table(title=title, title_justify="left")
    table.add_column("session")
    table.add_column("submission")
    heads = ("score", "all", "own", "of 768 MB", "largest", "wall s", "CPU s", "s at half")
    for head in (*heads, "of limit"):
        table.add_column(head, justify="right")
    for point in points:
        alone = point.run.cpu / SHARE
        table.add_row(
            point.session,
            point.kind,
            "none written" if point.score is None else f"{point.score:g}",
            f"{point.run.total / 2**20:.0f} MB",
            f"{point.run.own / 2**20:.0f} MB",
            f"{point.run.own / 2**20 / CONTAINER_MB:.0%}",
            f"{point.run.peak / 2**20:.0f} MB",
            f"{point.run.wall:.0f}",
            f"{point.run.cpu:.1f}",
            f"{alone:.0f}",
            f"{alone / 60 / minutes:.0%}",
        )
    return table


def line_of(point: Point) -> str:
    """One submission in words."""
    sizes = (point.run.total, point.run.own, point.run.peak)
    total, own, peak = (f"{size / 2**20:.0f} MB" for size in sizes)
    return (
        f"{point.session} {point.kind}: {total}, {own} of them own, largest {peak}, "
        f"{point.run.wall:.0f} s, {point.run.cpu:.1f} s of processor time, score {point.score}"
    )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--session", action="append", default=[], help="such as s3 (default: all)")
    parser.add_argument("--kind", action="append", default=[], help="such as right (default: all)")
    parser.add_argument("--minutes", type=float, default=10.0, help="the harness's limit")
    parser.add_argument("--cpu", type=int, default=processors()[-1])
    parser.add_argument(
        "--beside",
        type=int,
        default=1,
        metavar="N",
        help="processes that burn time; 0 if it is busy",
    )
    options = parser.parse_args()
    course = bank.course()
    console = Console(width=120)
    points: list[Point] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o755)
        python = installed(Path(name) / "environment")
        for session in course.sessions:
            if options.session and session.id not in options.session:
                continue
            for kind, files in submissions(session).items():
                if options.kind and kind not in options.kind:
                    continue
                limits = (options.minutes, options.cpu, options.beside)
                point = measure(course, session, kind, files, *limits, python)
                points.append(point)
                console.print(line_of(point), soft_wrap=True)
                if point.run.status:
                    console.print(point.run.output[-1000:], markup=False)
    console.print(table_of(points, options.minutes))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    console.print(f"load average at the end: {load}")


if __name__ == "__main__":
    main()
