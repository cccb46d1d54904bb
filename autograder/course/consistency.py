"""What no single value of course.yaml shows: sums, orders, and names that must agree."""

from __future__ import annotations

import difflib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

from autograder.course.schema import (
    POINTS_PER_SESSION,
    Course,
    CourseExercise,
    DatasetRules,
    FinalProject,
    Limits,
    Session,
)

Location = tuple[int | str, ...]
Inconsistency = tuple[Location, str, str]
"""Where (keys and indices), what was expected, and what is there."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message: the known word that is closest, or nothing."""
    closest = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {closest[0]!r}?" if closest else ""


def inconsistencies(course: Course) -> Iterator[Inconsistency]:
    """Yield (location, expected, got) for what no single value shows."""
    if not course.sessions:
        yield ("sessions",), "at least one session", "an empty list"
    yield from _repeated(("sessions",), "id", [session.id for session in course.sessions])
    yield from _repeated(("sessions",), "folder", [session.folder for session in course.sessions])
    for index, session in enumerate(course.sessions):
        yield from _check_session(("sessions", index), session)
    yield from _check_exercise_ids(course)
    yield from _check_extensions(course)
    if course.late_policy.kind != "none" and not any(s.due for s in course.sessions):
        expected = "none, or a session with a due date"
        yield ("late_policy", "kind"), expected, repr(course.late_policy.kind)
    yield from _check_feedback(course)
    yield from _check_limits(course.limits)
    if course.final_project:
        yield from _check_project(course.final_project)
    yield from _check_project_sessions(course)


def _repeated(location: Location, key: str, values: Iterable[str]) -> Iterator[Inconsistency]:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield (*location, index, key), "a name used once", f"{value!r} again"
        seen.add(value)


def _check_session(here: Location, session: Session) -> Iterator[Inconsistency]:
    if not session.folder.startswith(f"{session.id}_"):
        yield (*here, "folder"), f"a name that starts with {session.id}_", repr(session.folder)
    if session.opens and session.due and session.opens >= session.due:
        yield (*here, "due"), "a date after `opens`", session.due.isoformat()
    yield from _repeated((*here, "modules"), "file", [m.file for m in session.modules])
    if session.kind == "functions":
        for index, exercise in enumerate(session.own_exercises):
            if exercise.graded == "automatically":
                expected = "`by hand`, or the exercise in one of `modules`"
                yield (*here, "exercises", index, "graded"), expected, repr(exercise.graded)
    total = round(sum(e.points for e in session.exercises if not e.extra_credit), 6)
    if session.exercises and total != POINTS_PER_SESSION:
        expected = f"points that add to {POINTS_PER_SESSION} (extra credit apart)"
        yield (*here, "modules" if session.modules else "exercises"), expected, f"{total:g}"


def _check_feedback(course: Course) -> Iterator[Inconsistency]:
    policy = course.feedback
    if not policy.after_due.covers(policy.before_due):
        expected = f"at least what before_due shows ({str(policy.before_due)!r})"
        yield ("feedback", "after_due"), expected, repr(str(policy.after_due))
    dateless = [session.id for session in course.sessions if session.due is None]
    if policy.before_due is not policy.after_due and dateless:
        expected = f"the level of after_due, or a due date of session {dateless[0]}"
        yield ("feedback", "before_due"), expected, repr(str(policy.before_due))


def _check_exercise_ids(course: Course) -> Iterator[Inconsistency]:
    seen: Counter[str] = Counter()
    for i, session in enumerate(course.sessions):
        for location, exercise in located_exercises(session):
            here = ("sessions", i, *location, "id")
            seen[exercise.id] += 1
            if not exercise.id.startswith(f"{session.id}."):
                yield here, f"an id that starts with {session.id}.", repr(exercise.id)
            elif seen[exercise.id] > 1:
                yield here, "an id used once", f"{exercise.id!r} again"


def located_exercises(session: Session) -> Iterator[tuple[Location, CourseExercise]]:
    """All exercises of a session, each with its path below the session's key."""
    for j, module in enumerate(session.modules):
        for k, exercise in enumerate(module.exercises):
            yield ("modules", j, "exercises", k), exercise
    for k, exercise in enumerate(session.own_exercises):
        yield ("exercises", k), exercise


def _check_extensions(course: Course) -> Iterator[Inconsistency]:
    sessions = {session.id: session for session in course.sessions}
    seen: set[tuple[str, str]] = set()
    for index, extension in enumerate(course.extensions):
        here: Location = ("extensions", index)
        session = sessions.get(extension.session)
        if session is None:
            yield (*here, "session"), f"one of {', '.join(sessions)}", repr(extension.session)
        elif session.due is None:
            yield (*here, "session"), "a session with a due date", repr(extension.session)
        elif extension.due <= session.due:
            expected = f"a date after {session.due.isoformat()}, when {session.id} is due"
            yield (*here, "due"), expected, extension.due.isoformat()
        if (extension.student, extension.session) in seen:
            yield here, "one extension per student and session", f"{extension.student!r} again"
        seen.add((extension.student, extension.session))


def _check_limits(limits: Limits) -> Iterator[Inconsistency]:
    names = ("test_seconds", "exercise_seconds", "submission_seconds")
    for shorter, longer in itertools.pairwise(names):
        if getattr(limits, shorter) > getattr(limits, longer):
            expected = f"at least {shorter} ({getattr(limits, shorter):g})"
            yield ("limits", longer), expected, f"{getattr(limits, longer):g}"


def _check_project(project: FinalProject) -> Iterator[Inconsistency]:
    if not project.costs:
        yield ("final_project", "costs"), "at least one cost", "an empty list"
    if not project.datasets:
        yield ("final_project", "datasets"), "at least one data set", "an empty mapping"
    for index, name in enumerate(project.graded):
        if name not in project.datasets:
            expected = f"one of {', '.join(project.datasets)}"
            yield ("final_project", "graded", index), expected, repr(name)
    for name, dataset in project.datasets.items():
        yield from _check_dataset(("final_project", "datasets", name), dataset, project.costs)


def _check_dataset(
    here: Location, dataset: DatasetRules, costs: Iterable[str]
) -> Iterator[Inconsistency]:
    if dataset.gate_correct > dataset.test_images:
        expected = f"at most test_images ({dataset.test_images})"
        yield (*here, "gate_correct"), expected, str(dataset.gate_correct)
    for cost in costs:
        if cost not in dataset.references:
            yield (*here, "references", cost), "a reference for each of `costs`", "nothing"
    credit = dataset.credit
    if credit and credit.full_cost >= credit.zero_cost:
        expected = f"more than full_cost ({credit.full_cost:g})"
        yield (*here, "credit", "zero_cost"), expected, f"{credit.zero_cost:g}"


def _check_project_sessions(course: Course) -> Iterator[Inconsistency]:
    project = course.final_project
    sessions = [(i, s) for i, s in enumerate(course.sessions) if s.kind == "project"]
    for index, session in sessions:
        here = ("sessions", index)
        if project is None:
            yield (*here, "kind"), "functions: course.yaml has no final_project", "'project'"
        yield from _check_project_session(here, session)
    if project is None or not sessions:
        return
    for name in project.graded or project.datasets:
        if name in project.datasets and project.datasets[name].credit is None:
            expected = f"full_cost and zero_cost, since {sessions[0][1].id} is a project"
            yield ("final_project", "datasets", name, "credit"), expected, "nothing"


def _check_project_session(here: Location, session: Session) -> Iterator[Inconsistency]:
    if session.modules:
        yield (*here, "modules"), "no modules in a project", "a list"
    measured = [f"{session.id}.valid", f"{session.id}.cost"]
    both = " and ".join(measured)
    present = [exercise.id for exercise in session.own_exercises]
    missing = [name for name in measured if name not in present]
    if missing:
        hint = did_you_mean(missing[0], [name for name in present if name not in measured])
        yield (*here, "exercises"), f"the exercises {both}", f"no {' and no '.join(missing)}{hint}"
    for index, exercise in enumerate(session.own_exercises):
        needed = "automatically" if exercise.id in measured else "by hand"
        if exercise.graded != needed and not missing:  # else it may be one of the two, misspelt
            expected = f"`{needed}`: only {both} are measured"
            yield (*here, "exercises", index, "graded"), expected, repr(exercise.graded)
        if exercise.thresholds:
            expected = "final_project.datasets.NAME.credit instead"
            yield (*here, "exercises", index, "thresholds"), expected, "a mapping"
