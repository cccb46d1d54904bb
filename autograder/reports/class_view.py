"""What the class page shows of many reports: rows of students, statistics, who needs help."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autograder.records import KNOWN_MISTAKE, ExerciseResult, Outcome, Report, TestResult
from autograder.reports.view import (
    LINE_LIMIT,
    NAME_LIMIT,
    anchor,
    exercises_of,
    first_lines,
    module_causes,
    moment,
    page_name,
    share,
    short_name,
    tally,
)
from autograder.text_safety import clean_line

HELP_BELOW = 0.5
"""Share of the points below which a student is listed as one who needs help."""

NOT_TRIED = frozenset({Outcome.MISSING, Outcome.BLANK, Outcome.NOT_MARKED, Outcome.TOOL_ERROR})
_BINS = 10
_HEAT_STEPS = 5
_MISTAKES = 5  # of an exercise that are named
_REACH = re.compile(r" [0-9]+ of [0-9]+ checks fail because of it\.$")


@dataclass(frozen=True)
class ClassCell:
    """One exercise of one student; `heat` is 0..5, full points 5, no points 0.

    `by_hand` says that a person gave the points.
    """

    outcome: Outcome
    points: float
    heat: int
    by_hand: bool
    anchor: str


@dataclass(frozen=True)
class StudentRow:
    """One student of the class; `help` says why help is needed, or is empty."""

    name: str
    slug: str
    report: Report
    cells: tuple[ClassCell | None, ...]
    level: str
    incidents: tuple[str, ...]
    problems: tuple[str, ...]
    help: str

    @property
    def ran(self) -> bool:
        """Whether any code of this student ran."""
        return self.level != "none"

    @property
    def flags(self) -> tuple[str, ...]:
        """What a teaching assistant may want to see alone: words, which are also filters."""
        report = self.report
        known = {
            "help": self.help,
            "incident": self.incidents,
            "problem": self.problems,
            "late": report.lateness.penalty > 0,
            "unmarked": report.unmarked,
            "grade again": report.has_tool_error,
            "weak isolation": self.level not in ("strict", "none"),
        }
        return tuple(name for name, value in known.items() if value)


@dataclass(frozen=True)
class CheckStatistics:
    """One check over those who tried its exercise."""

    title: str
    passed: int
    tried: int

    @property
    def share(self) -> float:
        """Who passed, as a share in 0..1."""
        return share(self.passed, self.tried)


@dataclass(frozen=True)
class ExerciseStatistics:
    """One exercise over those who tried it: `mean` points, checks from the weakest on.

    `mistakes` are sentences of known mistakes with the number of students, the commonest first.
    """

    short: str
    title: str
    module: str
    maximum: float
    extra_credit: bool
    tried: int
    results: int
    mean: float
    counts: tuple[tuple[Outcome, int], ...]
    checks: tuple[CheckStatistics, ...]
    mistakes: tuple[tuple[str, int], ...]

    @property
    def share(self) -> float:
        """The mean as a share in 0..1 of the points."""
        return share(self.mean, self.maximum)


@dataclass(frozen=True)
class Bar:
    """One bin of the histogram, in units of the drawing."""

    x: float
    y: float
    height: float
    count: int


@dataclass(frozen=True)
class Totals:
    """Points after late penalties over a class, without those who submitted nothing readable.

    All 0 for an empty class; `nothing` submissions are left out of the means.
    """

    count: int
    nothing: int
    maximum: float
    mean: float
    median: float
    lower: float
    upper: float
    late: int


# ---- students ------------------------------------------------------------------------------------


def student_row(report: Report, ids: Sequence[str]) -> StudentRow:
    """One student, with a cell for each exercise of `ids`."""
    results = {exercise.id: exercise for exercise in report.exercises}
    return StudentRow(
        name=clean_line(report.student, NAME_LIMIT),
        slug=page_name(report),
        report=report,
        cells=tuple(_cell(results.get(exercise_id)) for exercise_id in ids),
        level=clean_line(report.isolation.level, NAME_LIMIT),
        incidents=first_lines(report.incidents),
        problems=first_lines(report.problems),
        help=_help(report),
    )


def _cell(result: ExerciseResult | None) -> ClassCell | None:
    if result is None:
        return None
    part = share(result.earned, result.maximum)
    # Only full points reach the last step, and any points at all leave step 0.
    heat = _HEAT_STEPS if part >= 1 else math.ceil(part * (_HEAT_STEPS - 1))
    by_hand = result.mark is not None
    return ClassCell(result.outcome, result.earned, heat, by_hand, anchor(result.id))


def _help(report: Report) -> str:
    """Why a student needs help, in a few words: a file that does not run, or few points."""
    waiting = (Outcome.NOT_MARKED, Outcome.TOOL_ERROR)
    graded = [e for e in report.exercises if e.outcome not in waiting]
    if not graded:
        return ""
    causes = module_causes(report)
    most = sum(e.maximum for e in graded if not e.extra_credit)
    few = share(report.raw_points, most) < HELP_BELOW
    if not (causes or few):
        return ""
    if causes:
        return "; ".join(
            cause if f"{name}.py" in cause else f"{name}: {cause}" for name, cause in causes.items()
        )
    counts = [f"{count} {outcome}" for outcome, count in tally(graded)]
    return ", ".join(counts)


def is_missing(report: Report) -> bool:
    """Whether nothing of a submission could be graded because its files are missing."""
    graded = [exercise for exercise in report.exercises if not exercise.by_hand]
    return bool(graded) and all(e.outcome is Outcome.MISSING for e in graded)


# ---- exercises -----------------------------------------------------------------------------------


def exercise_statistics(reports: Sequence[Report]) -> list[ExerciseStatistics]:
    """Every exercise over those who tried it, the weakest first."""
    results: dict[str, list[ExerciseResult]] = {}
    for report in reports:
        for exercise in report.exercises:
            results.setdefault(exercise.id, []).append(exercise)
    found = [_statistics(column, results[column.id]) for column in exercises_of(reports)]
    return sorted(found, key=lambda one: (not one.tried, one.share))


def _statistics(column: ExerciseResult, results: Sequence[ExerciseResult]) -> ExerciseStatistics:
    tried = [result for result in results if result.outcome not in NOT_TRIED]
    return ExerciseStatistics(
        short=short_name(column.id),
        title=clean_line(column.title or column.id, LINE_LIMIT),
        module=clean_line(column.module, NAME_LIMIT),
        maximum=column.maximum,
        extra_credit=column.extra_credit,
        tried=len(tried),
        results=len(results),
        mean=statistics.fmean(result.earned for result in tried) if tried else 0.0,
        counts=tuple(tally(results)),
        checks=tuple(_check_statistics(tried)),
        mistakes=tuple(_mistakes(tried)),
    )


def _check_statistics(tried: Iterable[ExerciseResult]) -> list[CheckStatistics]:
    tests: dict[str, list[TestResult]] = {}
    for result in tried:
        for test in result.tests:
            tests.setdefault(test.name, []).append(test)
    found = [
        CheckStatistics(
            clean_line(members[0].title or name, LINE_LIMIT),
            sum(test.outcome is Outcome.PASSED for test in members),
            len(members),
        )
        for name, members in tests.items()
    ]
    return sorted(found, key=lambda one: one.share)


def _mistakes(tried: Iterable[ExerciseResult]) -> list[tuple[str, int]]:
    """Sentences of known mistakes, and how many students made each."""
    counts: Counter[str] = Counter()
    for result in tried:
        texts = {test.message for test in result.tests if test.message.startswith(KNOWN_MISTAKE)}
        counts.update({_REACH.sub("", text.removeprefix(KNOWN_MISTAKE)) for text in texts})
    return [(clean_line(text, LINE_LIMIT), n) for text, n in counts.most_common(_MISTAKES)]


def module_spans(columns: Sequence[ExerciseResult]) -> list[tuple[str, int]]:
    """Modules and how many columns each takes."""
    spans: list[tuple[str, int]] = []
    for column in columns:
        name = clean_line(column.module, NAME_LIMIT)
        if spans and spans[-1][0] == name:
            spans[-1] = (name, spans[-1][1] + 1)
        else:
            spans.append((name, 1))
    return spans


# ---- the class -----------------------------------------------------------------------------------


def occurs(outcome: Outcome, reports: Sequence[Report]) -> bool:
    """Whether an exercise of anybody ended so."""
    return any(e.outcome is outcome for report in reports for e in report.exercises)


def totals_of(reports: Sequence[Report]) -> Totals:
    """Mean, median and quartiles of the points."""
    present = [report for report in reports if not is_missing(report)]
    points = [report.points for report in present] or [0.0]
    # Of two students the quartiles would lie beyond both of them.
    lower, _, upper = statistics.quantiles(points * 2 if len(points) <= 2 else points, n=4)
    return Totals(
        count=len(reports),
        nothing=len(reports) - len(present),
        maximum=max((report.maximum for report in reports), default=0.0),
        mean=statistics.fmean(points),
        median=statistics.median(points),
        lower=lower,
        upper=upper,
        late=sum(report.lateness.penalty > 0 for report in reports),
    )


def histogram(reports: Sequence[Report]) -> list[Bar]:
    """Submissions by share of the points in ten bins; full points belong to the last."""
    shares = [share(r.points, r.maximum) for r in reports if not is_missing(r)]
    counts = Counter(min(int(part * _BINS), _BINS - 1) for part in shares)
    most = max(counts.values(), default=1)
    width, height = 32.0, 100.0
    bars = []
    for index in range(_BINS):
        tall = round(height * counts[index] / most, 1)
        bars.append(Bar(20 + index * width, 20 + height - tall, tall, counts[index]))
    return bars


def provenance(reports: Sequence[Report]) -> str:
    """When, with which kit and under which versions a class was graded, in one line."""
    times = sorted(report.graded_at for report in reports if report.graded_at)
    days = sorted({moment(time) for time in (times[:1] + times[-1:])})
    parts = [f"graded {' to '.join(days)}"] if days else []
    for name, found in (
        ("kit", {report.kit_version for report in reports}),
        ("Python", {report.versions.get("python", "") for report in reports}),
        ("torch", {report.versions.get("torch", "") for report in reports}),
    ):
        known = sorted(clean_line(text, NAME_LIMIT) for text in found if text)
        parts += [f"{name} {' and '.join(known)}"] if known else []
    return ", ".join(parts)
