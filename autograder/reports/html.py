"""Feedback pages and the class page: one file each, no script, nothing loaded from elsewhere.

Three layers keep hostile text inert: it is cleaned in the views, escaped by the templates
(autoescape is always on), and the page's own content policy forbids scripts and requests.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from autograder.records import ExerciseResult, FeedbackLevel, Outcome, Report
from autograder.records.measurement import Score
from autograder.reports.disclosure import EVERYTHING, Shown, disclosed, wording
from autograder.reports.score import (
    LAYER_HEADS,
    figures,
    layer_rows,
    public_draws_note,
    verdict,
)
from autograder.reports.view import (
    GLYPH,
    GUARD_NOTE,
    LINE_LIMIT,
    MEANING,
    NAME_LIMIT,
    Audience,
    by_student,
    calls_line,
    duration,
    exercises_of,
    first_lines,
    isolation_line,
    late_policy_note,
    memory,
    modules_of,
    moment,
    number,
    penalty_line,
    percent,
    quantity,
    share,
    short_name,
)
from autograder.text_safety import clean_line

MAX_LAYERS = 500  # rows of a page's table of operators
_BINS = 10
_HEAT_STEPS = 5


@cache
def environment() -> Environment:
    """The templates of all pages; whatever is put into them is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "points": "{:.2f}".format,
        "percent": percent,
        "duration": duration,
        "memory": memory,
        "css": _css_class,
        "calls": calls_line,
    }
    environment.globals |= {"GLYPH": GLYPH, "MEANING": MEANING, "Outcome": Outcome}
    environment.globals |= {"quantity": quantity}
    return environment


def _css_class(outcome: Outcome) -> str:
    return f"o-{outcome.name.lower()}"


# ---- one student -------------------------------------------------------------------------------


def student_page(
    report: Report,
    audience: Audience,
    course_title: str = "",
    session_title: str = "",
    shown: Shown = EVERYTHING,
) -> str:
    """The feedback on one submission as a page; without titles it shows the ids.

    A student reads what `shown` says: of checks those that are visible, the others as a count. A
    teaching assistant ("ta") reads everything: hidden checks, tracebacks and captured output,
    incidents, cost, isolation and the submission's hash.
    """
    told = wording(report, shown) if audience == "student" else ""
    report = disclosed(report, shown.level) if audience == "student" else report
    modules = modules_of(report, audience)
    usage = report.usage
    return (
        environment()
        .get_template("student.html.j2")
        .render(
            ta=audience == "ta",
            pointless=audience == "student" and shown.level is FeedbackLevel.NOTHING,
            told=told,
            report=report,
            course=clean_line(course_title or report.course, NAME_LIMIT),
            session=clean_line(session_title or report.session, NAME_LIMIT),
            student=clean_line(report.student, NAME_LIMIT),
            share=share(report.points, report.maximum),
            raw_share=share(report.raw_points, report.maximum),
            modules=modules,
            tally=_tally(report.exercises),
            penalty=penalty_line(report),
            unknown_time=late_policy_note(report),
            score=_score_view(report.score),
            submitted=moment(report.lateness.submitted_at or ""),
            due=moment(report.lateness.due or ""),
            graded=moment(report.graded_at),
            problems=first_lines(report.problems),
            incidents=first_lines(report.incidents),
            notes=first_lines(report.notes),
            isolation=isolation_line(report),
            level=clean_line(report.isolation.level, NAME_LIMIT),
            mechanisms=first_lines(report.isolation.mechanisms),
            missing=first_lines(report.isolation.missing),
            other_seconds=max(usage.seconds - usage.student_seconds, 0.0),
            sha256=clean_line(report.submission_sha256, NAME_LIMIT),
            kit=clean_line(report.kit_version, NAME_LIMIT),
            guard_note=GUARD_NOTE
            if any(exercise.has_guard for module in modules for exercise in module.exercises)
            else "",
        )
    )


def _score_view(score: Score | None) -> dict[str, object] | None:
    if score is None:
        return None
    layers = layer_rows(score.measurement.layers) if score.measurement else []
    return {
        "head": f"{clean_line(score.team, NAME_LIMIT)} on {score.dataset}: {verdict(score)}",
        "figures": figures(score),
        "note": public_draws_note(score),
        "heads": LAYER_HEADS,
        "layers": layers[:MAX_LAYERS],
    }


def _tally(exercises: Sequence[ExerciseResult]) -> list[tuple[Outcome, int]]:
    counts = Counter(exercise.outcome for exercise in exercises)
    return [(outcome, counts[outcome]) for outcome in Outcome if counts[outcome]]


# ---- a class -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ClassCell:
    """One exercise of one student; `heat` is 0..5, full points 5, no points 0.

    `by_hand` says that a person gave the points.
    """

    outcome: Outcome
    points: float
    heat: int
    by_hand: bool


@dataclass(frozen=True)
class _StudentRow:
    name: str
    page: str
    ta_page: str
    report: Report
    cells: tuple[_ClassCell | None, ...]
    level: str
    incidents: tuple[str, ...]
    problems: tuple[str, ...]
    student_seconds: float
    other_seconds: float


@dataclass(frozen=True)
class _ExerciseStatistics:
    short: str
    title: str
    module: str
    maximum: float
    extra_credit: bool
    mean: float
    share: float
    counts: tuple[tuple[Outcome, int], ...]
    results: int


@dataclass(frozen=True)
class _Bar:
    """One bin of the histogram, in units of the drawing."""

    x: float
    y: float
    height: float
    count: int


def class_page(reports: Sequence[Report], course_title: str, session_title: str) -> str:
    """The results of a class as a page for the teaching assistant.

    Students come in the order of their names (s2 before s10); each links to
    `staff/<slug>.html`, the teaching assistant's page, and `feedback/<slug>.html`, the student's.
    """
    ordered = by_student(reports)
    columns = exercises_of(ordered)
    rows = [_row(report, [column.id for column in columns]) for report in ordered]
    return (
        environment()
        .get_template("class.html.j2")
        .render(
            course=clean_line(course_title, NAME_LIMIT),
            session=clean_line(session_title, NAME_LIMIT),
            rows=rows,
            exercises=[_exercise_statistics(column, ordered) for column in columns],
            modules=_module_spans(columns),
            seen=[outcome for outcome in Outcome if _occurs(outcome, ordered)],
            totals=_totals(ordered),
            bars=_histogram([share(r.points, r.maximum) for r in ordered if not _is_missing(r)]),
            again=[row for row in rows if row.report.has_tool_error],
            with_incidents=[row for row in rows if row.incidents],
            with_problems=[row for row in rows if row.problems],
            any_mark=any(cell and cell.by_hand for row in rows for cell in row.cells),
            unmarked=[row for row in rows if row.report.unmarked],
            unknown_times=sum(report.lateness.unknown for report in ordered),
            weaker=[row for row in rows if row.level not in ("strict", "none")],
            seconds=sum(report.usage.seconds for report in ordered),
            student_seconds=sum(report.usage.student_seconds for report in ordered),
        )
    )


def _row(report: Report, ids: Sequence[str]) -> _StudentRow:
    results = {exercise.id: exercise for exercise in report.exercises}
    slug = quote(clean_line(report.slug, NAME_LIMIT), safe="")
    usage = report.usage
    return _StudentRow(
        name=clean_line(report.student, NAME_LIMIT),
        page=f"feedback/{slug}.html",
        ta_page=f"staff/{slug}.html",
        report=report,
        cells=tuple(_cell(results.get(exercise_id)) for exercise_id in ids),
        level=clean_line(report.isolation.level, NAME_LIMIT),
        incidents=first_lines(report.incidents),
        problems=first_lines(report.problems),
        student_seconds=usage.student_seconds,
        other_seconds=max(usage.seconds - usage.student_seconds, 0.0),
    )


def _cell(result: ExerciseResult | None) -> _ClassCell | None:
    if result is None:
        return None
    part = share(result.earned, result.maximum)
    # Only full points reach the last step, and any points at all leave step 0.
    heat = _HEAT_STEPS if part >= 1 else math.ceil(part * (_HEAT_STEPS - 1))
    return _ClassCell(result.outcome, result.earned, heat, result.mark is not None)


def _exercise_statistics(column: ExerciseResult, reports: Sequence[Report]) -> _ExerciseStatistics:
    results = [e for report in reports for e in report.exercises if e.id == column.id]
    counting = [result for result in results if result.outcome is not Outcome.MISSING]
    mean = statistics.fmean(result.earned for result in counting) if counting else 0.0
    return _ExerciseStatistics(
        short=short_name(column.id),
        title=clean_line(column.title or column.id, LINE_LIMIT),
        module=clean_line(column.module, NAME_LIMIT),
        maximum=column.maximum,
        extra_credit=column.extra_credit,
        mean=mean,
        share=share(mean, column.maximum),
        counts=tuple(_tally(results)),
        results=len(results),
    )


def _module_spans(columns: Sequence[ExerciseResult]) -> list[tuple[str, int]]:
    spans: list[tuple[str, int]] = []
    for column in columns:
        name = clean_line(column.module, NAME_LIMIT)
        if spans and spans[-1][0] == name:
            spans[-1] = (name, spans[-1][1] + 1)
        else:
            spans.append((name, 1))
    return spans


def _occurs(outcome: Outcome, reports: Sequence[Report]) -> bool:
    return any(e.outcome is outcome for report in reports for e in report.exercises)


@dataclass(frozen=True)
class _Totals:
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


def _totals(reports: Sequence[Report]) -> _Totals:
    present = [report for report in reports if not _is_missing(report)]
    points = [report.points for report in present] or [0.0]
    lower, _, upper = statistics.quantiles(points * 2 if len(points) == 1 else points, n=4)
    return _Totals(
        count=len(reports),
        nothing=len(reports) - len(present),
        maximum=max((report.maximum for report in reports), default=0.0),
        mean=statistics.fmean(points),
        median=statistics.median(points),
        lower=lower,
        upper=upper,
        late=sum(report.lateness.penalty > 0 for report in reports),
    )


def _is_missing(report: Report) -> bool:
    """Whether nothing of a submission could be graded because its files are missing."""
    graded = [exercise for exercise in report.exercises if not exercise.by_hand]
    return bool(graded) and all(e.outcome is Outcome.MISSING for e in graded)


def _histogram(shares: Sequence[float]) -> list[_Bar]:
    """Counts of shares in 0..1 in ten bins; 1.0 belongs to the last."""
    counts = Counter(min(int(part * _BINS), _BINS - 1) for part in shares)
    most = max(counts.values(), default=1)
    width, height = 32.0, 100.0
    bars = []
    for index in range(_BINS):
        tall = round(height * counts[index] / most, 1)
        bars.append(_Bar(20 + index * width, 20 + height - tall, tall, counts[index]))
    return bars
