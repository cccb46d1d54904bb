"""What the written reports have in common: who may see what, words, numbers, order.

The views hold text that is already cleaned, so a writer only escapes for its own format. A
student's view never holds `detail`, an incident, or anything of one hidden test.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeVar
from urllib.parse import quote

from autograder.records import (
    KNOWN_MISTAKE,
    ExerciseResult,
    Isolation,
    Lateness,
    Outcome,
    Report,
    TestResult,
    Visibility,
)
from autograder.reports.source import Excerpt, definition, whole
from autograder.text_safety import clean, clean_line

Audience = Literal["student", "ta"]

NAME_LIMIT = 120
QUIET = (Outcome.PASSED, Outcome.BLANK, Outcome.NOT_MARKED)
"""Outcomes of an exercise of which nothing more is to be said: done, not begun, not looked at."""
LINE_LIMIT = 400
HINT_LIMIT = 2_000
DETAIL_LIMIT = 20_000
OUTPUT_LIMIT: dict[Audience, int] = {"student": 2_000, "ta": DETAIL_LIMIT}
CENT = 0.005  # points below it are not shown
_LINES = 20
NO_MODULE = "Exercises"  # heading over those that belong to no file

# One column wide, in the fonts of terminals and phones alike, and none of them an emoji.
GLYPH = {
    Outcome.PASSED: "✓",
    Outcome.PARTIAL: "◐",
    Outcome.FAILED: "✗",
    Outcome.BLANK: "○",
    Outcome.CRASHED: "!",
    Outcome.TIMED_OUT: "◷",
    Outcome.OUT_OF_MEMORY: "▣",
    Outcome.REFUSED: "⊘",
    Outcome.BLOCKED: "◇",
    Outcome.MISSING: "–",
    Outcome.NOT_MARKED: "…",
    Outcome.TOOL_ERROR: "?",
}

MEANING = {
    Outcome.PASSED: "everything that was checked holds",
    Outcome.PARTIAL: "some of it holds, part of the points",
    Outcome.FAILED: "a checked property does not hold",
    Outcome.BLANK: "not filled in yet",
    Outcome.CRASHED: "the code raised an exception or its process ended",
    Outcome.TIMED_OUT: "the time limit passed",
    Outcome.OUT_OF_MEMORY: "the memory limit passed",
    Outcome.REFUSED: "the code touched what it may not touch",
    Outcome.BLOCKED: "needs another exercise that is still blank",
    Outcome.MISSING: "the file is absent, empty or cannot be read",
    Outcome.NOT_MARKED: "graded by a person, who has not done so yet",
    Outcome.TOOL_ERROR: "a fault of the grader; will be graded again",
}

GUARD_NOTE = (
    "A guard check also holds for a wrong answer (bad arguments raise, inputs stay unchanged), "
    "so it counts only once a value check of the same exercise passes."
)

_WHEN_SHOWN = {
    Visibility.VISIBLE: "",
    Visibility.HIDDEN: "hidden",
    Visibility.AFTER_DUE_DATE: "hidden until the due date",
    Visibility.AFTER_PUBLISHED: "hidden until published",
}


@dataclass(frozen=True)
class CheckView:
    """One test as it is shown.

    `counted` is False for a passed guard that earns nothing yet, `repeated` is True if the check
    before has the same outcome and hint (one crash ends many checks). `lost` are the points of the
    exercise that it did not earn, `output` is what the code printed.
    """

    name: str
    title: str
    outcome: Outcome
    credit: float
    hint: str
    repeated: bool
    guard: bool
    essential: bool
    counted: bool
    hidden: str
    weight: float
    lost: float
    seconds: float
    output: str
    detail: str

    @property
    def quiet(self) -> bool:
        """Whether nothing is to be done about it."""
        return self.outcome is Outcome.PASSED and self.counted


@dataclass(frozen=True)
class HiddenChecks:
    """Counts of the checks that are not listed, and what they cost; falsy if there are none."""

    total: int
    passed: int
    partial: int
    further: bool
    lost: float

    def __bool__(self) -> bool:
        return self.total > 0

    def __str__(self) -> str:
        what = "further hidden check" if self.further else "hidden check"
        also = f", {self.partial} partial" if self.partial else ""
        lost = f" (−{number(self.lost)} points)" if self.lost >= CENT else ""
        return f"{quantity(self.total, what)}: {self.passed} passed{also}{lost}"


@dataclass(frozen=True)
class ExerciseView:
    """One exercise as it is shown.

    `mark` says what a person gave, in one or two sentences. `calls` names the functions of other
    exercises that it calls and that lost points too. `capped` are points that were lost beyond
    those of single checks: an essential check failed, or none but guards passed. `source` is the
    function in the submitted `file`.
    """

    id: str
    title: str
    outcome: Outcome
    points: float
    maximum: float
    extra_credit: bool
    mark: str
    calls: tuple[str, ...]
    checks: tuple[CheckView, ...]
    hidden: HiddenChecks
    capped: float
    source: Excerpt | None
    file: str

    @property
    def anchor(self) -> str:
        """Where it stands on a page."""
        return anchor(self.id)

    @property
    def open(self) -> tuple[CheckView, ...]:
        """The checks about which there is something to do, those that say what it is first."""
        return tuple(check for check in self.checks if not check.quiet)

    @property
    def passed(self) -> tuple[CheckView, ...]:
        """All other checks."""
        return tuple(check for check in self.checks if check.quiet)

    @property
    def diagnosis(self) -> str:
        """The sentence of a known mistake, if one was recognized."""
        return next((c.hint for c in self.checks if c.hint.startswith(KNOWN_MISTAKE)), "")

    @property
    def output(self) -> str:
        """What the code printed in the checks that did not pass, each text once."""
        return "\n".join(dict.fromkeys(c.output for c in self.checks if c.output))

    @property
    def share(self) -> float:
        """Points earned as a share in 0..1 of the maximum."""
        return share(self.points, self.maximum)

    @property
    def has_guard(self) -> bool:
        """Whether a listed check is a guard."""
        return any(check.guard for check in self.checks)


@dataclass(frozen=True)
class ModuleView:
    """The exercises of one file, in the order of the report.

    `cause` says why none of them could be tried, if it is one and the same reason for all.
    """

    name: str
    exercises: tuple[ExerciseView, ...]
    cause: str = ""

    @property
    def stopped(self) -> bool:
        """Whether something keeps the file from running, other than that it is still blank."""
        return bool(self.cause) and any(e.outcome is not Outcome.BLANK for e in self.exercises)

    @property
    def points(self) -> float:
        """Points earned in this module."""
        return round(sum(exercise.points for exercise in self.exercises), 2)

    @property
    def maximum(self) -> float:
        """Points that can be earned in this module without extra credit."""
        return round(sum(e.maximum for e in self.exercises if not e.extra_credit), 2)


def modules_of(report: Report, audience: Audience) -> tuple[ModuleView, ...]:
    """The exercises of `report` by module, as `audience` may see them."""
    lost = {exercise.id for exercise in report.exercises if _lost_points(exercise)}
    sources = {name.removesuffix(".py"): whole(text) for name, text in report.sources.items()}
    return tuple(
        ModuleView(
            clean_line(name, NAME_LIMIT) or NO_MODULE,
            tuple(_exercise_view(member, audience, lost, sources.get(name)) for member in members),
            _common_cause(members) if name else "",
        )
        for name, members in _by_module(report).items()
    )


def stopped_first(modules: Iterable[ModuleView]) -> list[ModuleView]:
    """The modules with those that do not run before the others: nothing else can be tried."""
    return sorted(modules, key=lambda module: not module.stopped)


def module_causes(report: Report) -> dict[str, str]:
    """Module -> why none of its exercises could be tried, of those that do not run at all."""
    causes = {
        clean_line(name, NAME_LIMIT): clean_line(_common_cause(members), LINE_LIMIT)
        for name, members in _by_module(report).items()
        if name and any(e.outcome not in (Outcome.BLANK, Outcome.NOT_MARKED) for e in members)
    }
    return {name: cause for name, cause in causes.items() if cause}


def _by_module(report: Report) -> dict[str, list[ExerciseResult]]:
    groups: dict[str, list[ExerciseResult]] = {}
    for exercise in report.exercises:
        groups.setdefault(exercise.module, []).append(exercise)
    return groups


def _common_cause(exercises: Sequence[ExerciseResult]) -> str:
    """The one reason why no exercise of a file could be tried; empty if some could."""
    automatic = [e for e in exercises if not e.by_hand]
    reasons = {(test.outcome, test.message) for each in automatic for test in each.tests}
    if len(reasons) != 1 or any(e.mark or not e.tests for e in automatic):
        return ""
    ((outcome, message),) = reasons
    text = clean(message, HINT_LIMIT).strip()
    if outcome is Outcome.BLANK:
        return "nothing in this file is written yet"
    told = (Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY, Outcome.MISSING)
    whole = len(automatic) > 1 or f"{exercises[0].module}.py" in message
    return text if outcome in told and whole else ""


def _lost_points(exercise: ExerciseResult) -> bool:
    ours = (Outcome.TOOL_ERROR, Outcome.NOT_MARKED)
    return exercise.earned < exercise.maximum and exercise.outcome not in ours


def _exercise_view(
    exercise: ExerciseResult, audience: Audience, lost: Container[str], module: Excerpt | None
) -> ExerciseView:
    hidden = [test for test in exercise.tests if not is_shown(test, audience)]
    shown = [test for test in exercise.tests if is_shown(test, audience)]
    earned = any(test.credit > 0 for test in exercise.tests if not test.guard)
    lost_by = {id(test): _lost_by(test, exercise, earned) for test in exercise.tests}
    unlisted = sum(lost_by[id(test)] for test in hidden)
    all_lost = exercise.maximum - exercise.points
    return ExerciseView(
        id=clean_line(exercise.id, NAME_LIMIT),
        title=clean_line(exercise.title or exercise.id, LINE_LIMIT),
        outcome=exercise.outcome,
        points=exercise.earned,
        maximum=exercise.maximum,
        extra_credit=exercise.extra_credit,
        mark=mark_line(exercise),
        calls=tuple(short_name(each) for each in exercise.calls if each in lost)
        if exercise.id in lost
        else (),
        checks=tuple(
            _check_view(test, before, earned, lost_by[id(test)], audience)
            for before, test in zip([None, *shown], shown)
        ),
        hidden=HiddenChecks(
            total=len(hidden),
            passed=sum(test.outcome is Outcome.PASSED for test in hidden),
            partial=sum(test.outcome is Outcome.PARTIAL for test in hidden),
            further=bool(shown),
            lost=unlisted,
        ),
        source=definition(module, exercise.id.partition(".")[2]) if module else None,
        file=clean_line(f"{exercise.module}.py", NAME_LIMIT),
        capped=max(all_lost - sum(lost_by.values()), 0.0) if exercise.tests else 0.0,
    )


def _lost_by(test: TestResult, exercise: ExerciseResult, earned: bool) -> float:
    """The points that one test did not earn by itself."""
    total = sum(each.weight for each in exercise.tests)
    credit = 1.0 if test.outcome is Outcome.PASSED else share(test.credit, 1.0)
    if test.outcome not in (Outcome.PASSED, Outcome.PARTIAL) or (test.guard and not earned):
        credit = 0.0
    return exercise.maximum * test.weight * (1.0 - credit) / total if total > 0 else 0.0


def _check_view(
    test: TestResult, before: TestResult | None, earned: bool, lost: float, audience: Audience
) -> CheckView:
    same = before and (before.outcome, before.message) == (test.outcome, test.message)
    return CheckView(
        name=clean_line(test.name, LINE_LIMIT),
        title=clean_line(test.title or test.name, LINE_LIMIT),
        outcome=test.outcome,
        credit=test.credit,
        hint=clean(test.message, HINT_LIMIT).strip(),
        repeated=bool(same),
        guard=test.guard,
        essential=test.essential,
        counted=earned or not (test.guard and test.outcome is Outcome.PASSED),
        hidden=_WHEN_SHOWN[test.visibility],
        weight=test.weight,
        lost=lost,
        seconds=test.seconds,
        output=clean(test.output, OUTPUT_LIMIT[audience]).strip("\n"),
        detail=clean(test.detail, DETAIL_LIMIT).strip("\n") if audience == "ta" else "",
    )


def is_shown(test: TestResult, audience: Audience) -> bool:
    """Whether `audience` sees this test by itself, or only in a count."""
    return audience == "ta" or test.visibility is Visibility.VISIBLE


def first_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """Problems, incidents and the like: each on one line, after the first 20 only their count."""
    shown = [clean_line(line, LINE_LIMIT) for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(f"and {len(lines) - _LINES} more")
    return tuple(shown)


# ---- numbers and words -----------------------------------------------------------------------


def share(part: float, whole: float) -> float:
    """`part / whole` limited to 0..1; 0 if there is no whole."""
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0


def number(value: float, digits: int = 2) -> str:
    """`value` with at most `digits` decimals and no trailing zeros: 6.0 is "6", 2.50 is "2.5"."""
    text = f"{value:.{digits}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(part: float) -> str:
    """A share in 0..1 as "12.5 %"."""
    return f"{number(100 * part, 1)} %"


def quantity(count: int, noun: str) -> str:
    """`"1 check"`, `"2 checks"`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as "0.4 s", "12 s" or "3 min 05 s"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def memory(count: int) -> str:
    """Bytes as "812 MB" or "1.4 GB" (powers of ten)."""
    return f"{count / 1e9:.1f} GB" if count >= 999.5e6 else f"{count / 1e6:.0f} MB"


def moment(text: str) -> str:
    """An ISO 8601 time as "2026-03-02 10:11 +01:00"; any other text cleaned."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return clean_line(text, NAME_LIMIT)
    zone = parsed.strftime("%z")
    zone = {"": "", "+0000": " UTC"}.get(zone, f" {zone[:3]}:{zone[3:5]}")
    return parsed.strftime("%Y-%m-%d %H:%M") + zone


def penalty_line(report: Report) -> str:
    """What lateness cost, in one sentence; empty if it cost nothing."""
    late: Lateness = report.lateness
    if late.penalty <= 0 and late.days_late <= 0:
        return ""
    days = number(late.days_late, 1)
    when = f"Submitted {days} {'day' if days == '1' else 'days'} late"
    if late.penalty <= 0:
        return f"{when}, no penalty."
    before, after = number(report.raw_points), number(report.points)
    return f"{when}: {before} − {percent(late.penalty)} = {after} points."


def late_policy_note(report: Report) -> str:
    """That a late policy could not be applied; empty if it was, or none is due."""
    if not report.lateness.unknown:
        return ""
    due = moment(report.lateness.due or "")
    return f"The late policy was not applied: no time of submission is known (due {due})."


def calls_line(exercise: ExerciseView, how: str = "lost points") -> str:
    """That the functions it calls lost points as well, in one sentence; empty if none did.

    `how` completes "which …".
    """
    if not exercise.calls:
        return ""
    names = " and ".join(f"`{name}`" for name in exercise.calls)
    which = "that" if len(exercise.calls) == 1 else "those"
    return f"it calls {names}, which {how}: repair {which} first"


def mark_line(exercise: ExerciseResult) -> str:
    """What a person gave for an exercise, beside its automatic points."""
    if exercise.mark is None:
        return ""
    points = f"{number(exercise.mark.points)} of {number(exercise.maximum)}"
    by = f" by {clean_line(exercise.mark.by, NAME_LIMIT)}" if exercise.mark.by else ""
    instead = "" if exercise.by_hand else f" instead of {number(exercise.points)} automatic points"
    comment = clean_line(exercise.mark.comment, HINT_LIMIT)
    return f"Marked by hand{by}: {points}{instead}.{f' {comment}' if comment else ''}"


def isolation_line(report: Report, with_verdict: bool = True) -> str:
    """How the student's code, or the file, was confined, in one sentence.

    Without `with_verdict` it does not say whether the file was refused.
    """
    isolation: Isolation = report.isolation
    if isolation.level == "none":
        return "No code of yours ran." if report.score is None else "Your file was not read."
    known = {
        "strict": "in a process of its own with strict isolation",
        "partial": "in a process of its own with partial isolation",
        "process": "in a process of its own with resource limits only",
    }
    how = known.get(isolation.level, "with unknown isolation")
    if report.score is None:
        return f"Your code ran {how}."
    if not with_verdict:
        return f"Your file was read {how}."
    if report.score.measurement is None:  # refused before it was run
        return f"Your file was read {how}, and not run."
    return f"Your file was read and run {how}."


# ---- order -------------------------------------------------------------------------------------


class OfStudent(Protocol):
    """A report, or a submission that will have one."""

    @property
    def student(self) -> str:
        """The name that pages show."""

    @property
    def slug(self) -> str:
        """The name of the record."""


Item = TypeVar("Item", bound=OfStudent)
Neighbors = tuple[OfStudent | None, OfStudent | None]


def by_student(items: Iterable[Item]) -> list[Item]:
    """Reports or submissions by student, with numbers in names by value: s2 before s10."""
    return sorted(items, key=lambda item: (_natural(item.student), item.slug))


def neighbors(items: Iterable[OfStudent]) -> dict[str, Neighbors]:
    """Slug -> who comes before and after in the order of students."""
    ordered = by_student({item.slug: item for item in items}.values())
    around = zip([None, *ordered], ordered, [*ordered[1:], None])
    return {item.slug: (before, after) for before, item, after in around}


def _natural(text: str) -> list[tuple[int, str]]:
    # Digits as (length, digits) compare by value without ever making an int of a huge text.
    parts = re.split(r"([0-9]+)", text[:NAME_LIMIT].casefold())
    return [
        (len(part.lstrip("0")), part.lstrip("0")) if i % 2 else (0, part)
        for i, part in enumerate(parts)
    ]


def exercises_of(reports: Iterable[Report]) -> list[ExerciseResult]:
    """One result for each exercise id that occurs, in order of first appearance."""
    first: dict[str, ExerciseResult] = {}
    for report in reports:
        for exercise in report.exercises:
            first.setdefault(exercise.id, exercise)
    return list(first.values())


def tally(exercises: Iterable[ExerciseResult]) -> list[tuple[Outcome, int]]:
    """Outcomes that occur, in their order, and how often."""
    counts = Counter(exercise.outcome for exercise in exercises)
    return [(outcome, counts[outcome]) for outcome in Outcome if counts[outcome]]


def anchor(exercise_id: str) -> str:
    """The name of an exercise's place on a page: letters, digits, `_` and `-`."""
    return "x-" + re.sub(r"[^A-Za-z0-9_]", "-", short_name(exercise_id))


def page_name(report: OfStudent) -> str:
    """The name of a submission's pages, as it stands in a link, without ".html"."""
    return quote(clean_line(report.slug, NAME_LIMIT), safe="")


def short_name(exercise_id: str) -> str:
    """An exercise id without its session: "s1.sparsity" is "sparsity"."""
    return clean_line(exercise_id.partition(".")[2] or exercise_id, NAME_LIMIT)
