"""What students read about their mistakes, measured over the banks of single mistakes.

    python -m benchmarks.feedback                      # all sessions, minutes
    python -m benchmarks.feedback --session s1 --sample 20

A file counts as named if the sentence of its own mistake is shown, and as told untruly if another
mistake's is. `beyond` counts failed checks that `expected.yaml` does not state. Below: lines of
graders, solutions and hand-outs, and the seconds in which the solution is graded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.course import Session
from autograder.grading.kinds import graders_of
from autograder.records import Report
from autograder.release import strip_source
from tests import bank, feedback
from tests.support import grade, submission


@dataclass(frozen=True)
class Told:
    """One wrong file: was its mistake named, was another, how many checks failed beyond those."""

    name: str
    listed: bool
    named: bool
    untrue: bool
    beyond: int


def measure(session: Session, every: int, jobs: int) -> list[Told]:
    """Every `every`-th known mistake of a session, graded on its exercise."""
    entries = bank.wrong(session)[::every]
    reports = graded(
        session,
        [entry.submission for entry in entries],
        jobs,
        {entry.submission.slug: (entry.exercise,) for entry in entries},
    )
    known, stated = feedback.sentences(session), feedback.stated(session)
    told = []
    for entry in entries:
        (result,) = reports[entry.submission.student].exercises
        found = feedback.feedback(result, known[entry.exercise])
        own = entry.reason.partition("\n\n")[0].replace("\n", " ")
        fails = stated.get(entry.name, {}).get("fails", [])
        told.append(
            Told(
                entry.name,
                "curriculum list" in entry.reason,
                own in found.named,
                any(sentence != own for sentence in found.named),
                len(set(found.fails) - set(fails)),
            )
        )
    return told


def graded(
    session: Session,
    submissions: list[bank.Submission],
    jobs: int,
    only: dict[str, tuple[str, ...]],
) -> dict[str, Report]:
    """Reports by student, with the model solution at hand as in a class."""
    course = bank.course().model_copy(update={"sessions": (session,)})
    solution = {name: text.encode() for name, text in bank.solution(session).items()}
    return grade(
        course, submissions, graders_of(session), jobs=jobs, only_for=only, solution=solution
    )


def lines(paths: list[Path]) -> int:
    """Lines of all files together."""
    return sum(len(path.read_text("utf-8").splitlines()) for path in paths)


def sizes(session: Session) -> str:
    """Lines of what is written for a session, and the seconds that its solution takes."""
    files = bank.solution(session)
    graders = lines(sorted(graders_of(session).glob("*.py")))
    solution = sum(len(text.splitlines()) for text in files.values())
    blank = sum(len(strip_source(text, name).splitlines()) for name, text in files.items())
    started = time.perf_counter()
    graded(session, [submission("solution", files)], 1, {})
    seconds = time.perf_counter() - started
    return f"{session.id:4}{graders:9}{solution:10}{blank:8}{seconds:9.1f} s"


def percent(part: int, whole: int) -> str:
    """A share with its count."""
    return f"{part}/{whole} ({100 * part / whole if whole else 100:.0f} %)"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--session", action="append", help="by default all")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="every Nth file")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    sessions = [
        session
        for session in bank.course().sessions
        if session.kind == "functions" and (not options.session or session.id in options.session)
    ]
    print("      named            of the listed    untrue   beyond")
    everything: list[Told] = []
    for session in sessions:
        told = measure(session, options.sample, options.jobs)
        everything += told
        print(row(session.id, told))
    print(row("all", everything))
    for one in everything:
        if one.untrue or one.beyond:
            print(f"      {one.name}: {'untrue sentence' if one.untrue else 'more checks fail'}")
    print("\n      graders  solution  blanks  solution graded in")
    for session in sessions:
        print(sizes(session))


def row(name: str, told: list[Told]) -> str:
    """One line of the first table."""
    listed = [one for one in told if one.listed]
    return (
        f"{name:6}{percent(sum(one.named for one in told), len(told)):17}"
        f"{percent(sum(one.named for one in listed), len(listed)):17}"
        f"{sum(one.untrue for one in told):6}{sum(one.beyond for one in told):9}"
    )


if __name__ == "__main__":
    main()
