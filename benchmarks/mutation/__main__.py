"""Which one-line changes of the solutions and of the kit's own arithmetic nobody notices.

    python -m benchmarks.mutation --session s1 [--exercise s1.sparsity] [--sample 5]
    python -m benchmarks.mutation --module autograder/records/points.py [--tests PATH ...]

A mutant of a solution is graded on its exercise, by the course's graders. A mutant of a module of
the kit meets the small tests that belong to it. Verdicts are kept in .cache/mutation.jsonl, so that
a run goes on where the last one ended. A survivor is a missing check, or it changes no result: then
a person writes it into equivalent.yaml beside this file, with why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from autograder.errors import AutograderError
from benchmarks.mutation import modules, solutions
from benchmarks.mutation.mutants import Key, Mutant, sample
from benchmarks.mutation.records import Verdict, Verdicts, is_marked, read_marks, stale


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--session", action="append", default=[], metavar="ID", help="s1, s2, …")
    made.add_argument("--exercise", action="append", default=[], metavar="ID")
    made.add_argument("--module", action="append", default=[], metavar="FILE")
    made.add_argument("--modules", action="store_true", help="every module with direct tests")
    made.add_argument("--tests", nargs="+", default=[], metavar="PATH", help="instead of its own")
    made.add_argument("--sample", type=int, metavar="N", help="of each exercise or module")
    made.add_argument("--seed", type=int, default=0, help="of the sample")
    made.add_argument("--jobs", type=int, default=1, metavar="N")
    made.add_argument("--only-list", action="store_true", help="show the mutants, grade none")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Make, judge and report; 1 if a mutant survives that nobody has marked, 2 if it cannot."""
    options = parser().parse_args(arguments)
    is_clean = True
    try:
        marks = read_marks()
        for batch in _batches(options):
            for key in stale(marks, batch.every):
                print(f"equivalent.yaml: {key.where}: no {key.before}  ->  {key.after} any more")
            if options.only_list:
                for mutant in batch.chosen:
                    print(_line(batch, mutant))
            else:
                verdicts = dict(batch.judge(batch.chosen))
                for where in batch.files:
                    is_clean &= _report(batch, where, verdicts, marks)
    except (AutograderError, OSError, RuntimeError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if is_clean else 1


@dataclass(frozen=True)
class _Batch:
    """Mutants that are judged together: `files` by exercise or module, all, and the sample."""

    files: Mapping[str, str]
    every: Sequence[Mutant]
    chosen: Sequence[Mutant]
    judge: Callable[[Sequence[Mutant]], Iterable[tuple[Mutant, Verdict]]]


def _batches(options: argparse.Namespace) -> Iterator[_Batch]:
    """One for each module and each session that was asked for; without any, for each session."""
    verdicts = Verdicts()
    named = [*options.module, *(modules.TESTS if options.modules else ())]
    for module in named:
        if not (tests := options.tests or modules.TESTS.get(module)):
            raise ValueError(f"{module}: its tests are not known; name them with --tests")
        every = modules.module_mutants(module)
        chosen = sample(every, options.sample, options.seed)
        judge = partial(modules.judge, module, tests, verdicts=verdicts, jobs=options.jobs)
        yield _Batch({module: module}, every, chosen, judge)
    for of, ids in _solutions(options, bool(named)):
        made = {name: solutions.exercise_mutants(of, name) for name in ids}
        every = [mutant for each in made.values() for mutant in each]
        chosen = [m for each in made.values() for m in sample(each, options.sample, options.seed)]
        judge = partial(solutions.judge, of, verdicts=verdicts, jobs=options.jobs)
        files = {name: of.path(of.session.exercise(name).file) for name in ids}
        yield _Batch(files, every, chosen, judge)


def _solutions(
    options: argparse.Namespace, are_modules_named: bool
) -> Iterator[tuple[solutions.Solution, list[str]]]:
    """The sessions that were asked for, each with the ids of its exercises that were."""
    by_session: dict[str, list[str]] = {name: [] for name in options.session}
    for exercise_id in options.exercise:
        by_session.setdefault(exercise_id.partition(".")[0], []).append(exercise_id)
    if not by_session and not are_modules_named:
        by_session = {name: [] for name in solutions.sessions()}
    for name, exercise_ids in by_session.items():
        of = solutions.solution(name)
        yield (
            of,
            [of.session.exercise(each).id for each in exercise_ids]
            or [exercise.id for exercise in of.session.exercises if exercise.file],
        )


def _report(
    batch: _Batch, where: str, verdicts: Mapping[Mutant, Verdict], marks: Mapping[Key, str]
) -> bool:
    """Print the share that was caught, and who survived; whether all of those are marked."""
    judged = [mutant for mutant in verdicts if mutant.key.where == where]
    survivors = [mutant for mutant in judged if verdicts[mutant] == "survived"]
    missing = [mutant for mutant in survivors if not is_marked(mutant.key, marks)]
    equivalent = len(survivors) - len(missing)
    counted = len(judged) - equivalent
    share = f"{1 - len(missing) / counted:7.1%}" if counted else "      -"
    print(f"{share}  {where}: {counted - len(missing)} of {counted}, {equivalent} equivalent")
    for mutant in sorted(missing, key=lambda mutant: mutant.line):
        print(f"         {_line(batch, mutant)}", flush=True)
    return not missing


def _line(batch: _Batch, mutant: Mutant) -> str:
    key = mutant.key
    nth = f"  (occurrence {key.occurrence})" if key.occurrence > 1 else ""
    return f"{batch.files[key.where]}:{mutant.line}: {key.before}  ->  {key.after}{nth}"


if __name__ == "__main__":
    sys.exit(main())
