"""Feedback, staff and class pages: one file each, nothing loaded from elsewhere.

Three layers keep hostile text inert: it is cleaned in the views, escaped by the templates
(autoescape is always on), and the page's own content policy forbids requests and every script but
the class page's own, which it names by its hash.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from autograder.records import FeedbackLevel, Outcome, Report
from autograder.records.measurement import Score
from autograder.reports.class_view import (
    exercise_statistics,
    histogram,
    is_missing,
    module_spans,
    occurs,
    provenance,
    student_row,
    totals_of,
)
from autograder.reports.disclosure import EVERYTHING, Shown, disclosed, wording
from autograder.reports.score import (
    LAYER_HEADS,
    figures,
    layer_rows,
    public_draws_note,
    verdict,
)
from autograder.reports.source import whole
from autograder.reports.view import (
    CENT,
    GLYPH,
    GUARD_NOTE,
    MEANING,
    NAME_LIMIT,
    Audience,
    OfStudent,
    anchor,
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
    page_name,
    penalty_line,
    percent,
    quantity,
    share,
    short_name,
    tally,
)
from autograder.text_safety import clean_line

MAX_LAYERS = 500  # rows of a page's table of operators
TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The templates of all pages; whatever is put into them is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
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
    environment.globals |= {"quantity": quantity, "CENT": CENT}
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
    with_verdict = audience == "ta" or shown.level is FeedbackLevel.VERDICTS
    isolation = isolation_line(report, with_verdict)
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
            tally=tally(report.exercises),
            penalty=penalty_line(report),
            unknown_time=late_policy_note(report),
            score=_score_view(report.score),
            submitted=moment(report.lateness.submitted_at or ""),
            due=moment(report.lateness.due or ""),
            problems=first_lines(report.problems),
            incidents=first_lines(report.incidents),
            notes=first_lines(report.notes),
            isolation=isolation,
            level=clean_line(report.isolation.level, NAME_LIMIT),
            mechanisms=first_lines(report.isolation.mechanisms),
            missing=first_lines(report.isolation.missing),
            other_seconds=max(usage.seconds - usage.student_seconds, 0.0),
            sha256=clean_line(report.submission_sha256, NAME_LIMIT),
            graded_with=provenance([report]),
            sources=[
                (clean_line(n, NAME_LIMIT), whole(text)) for n, text in report.sources.items()
            ],
            broken=[module for module in modules if module.cause],
            feedback=f"../feedback/{page_name(report)}.html",
            guard_note=GUARD_NOTE
            if any(e.has_guard for module in modules if not module.cause for e in module.exercises)
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


# ---- from one student to the next ---------------------------------------------------------------

_STEPS = re.compile('<nav class="steps".*?</nav>', re.DOTALL)


def with_neighbors(page: str, before: OfStudent | None, after: OfStudent | None) -> str:
    """A staff page whose links lead to the student before and after it."""

    def link(report: OfStudent | None) -> tuple[str, str] | None:
        if report is None:
            return None
        return page_name(report), clean_line(report.student, NAME_LIMIT)

    template = environment().get_template("steps.html.j2")
    steps = template.render(before=link(before), after=link(after))
    return _STEPS.sub(lambda _: steps, page, count=1)


# ---- a class -----------------------------------------------------------------------------------


def class_page(reports: Sequence[Report], course_title: str, session_title: str) -> str:
    """The results of a class as a page for the teaching assistant.

    Exercises come from the weakest on, students in the order of their names (s2 before s10); each
    links to `staff/<slug>.html`, the teaching assistant's page, and `feedback/<slug>.html`, the
    student's. A small script sorts and filters; without it the page lacks only that.
    """
    ordered = by_student(reports)
    columns = exercises_of(ordered)
    rows = [student_row(report, [column.id for column in columns]) for report in ordered]
    needy = [row for row in rows if row.help and not is_missing(row.report)]
    script = (TEMPLATES / "class.js").read_text("utf-8")
    return (
        environment()
        .get_template("class.html.j2")
        .render(
            script=Markup(script),  # ours, without anything of a submission
            script_hash=b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            course=clean_line(course_title, NAME_LIMIT),
            session=clean_line(session_title, NAME_LIMIT),
            session_id=clean_line(ordered[0].session, NAME_LIMIT) if ordered else "",
            provenance=provenance(ordered),
            rows=rows,
            columns=[(short_name(c.id), anchor(c.id), c.maximum) for c in columns],
            exercises=exercise_statistics(ordered),
            modules=module_spans(columns),
            seen=[outcome for outcome in Outcome if occurs(outcome, ordered)],
            filters=list(dict.fromkeys(flag for row in rows for flag in row.flags)),
            totals=totals_of(ordered),
            bars=histogram(ordered),
            needy=sorted(needy, key=lambda row: share(row.report.raw_points, row.report.maximum)),
            absent=[row for row in rows if is_missing(row.report)],
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
