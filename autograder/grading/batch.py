"""Grading a folder of submissions into a results folder, again and again.

A run grades what has no result under today's fingerprints and keeps the rest. No record is lost:
one that is graded again is set aside first. Late penalties and points by hand are applied again
each time, from the raw points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder.course import Course, DatasetName, Session
from autograder.engine.host import pool
from autograder.engine.job import GradingJob, Level
from autograder.errors import AutograderError
from autograder.grading import verification
from autograder.grading.assembly import finished, merged
from autograder.grading.cluster.dispatch import Cluster, connected
from autograder.grading.cluster.terms import Terms
from autograder.grading.enrolment import enrol, has_no_file, is_undecided, renamed
from autograder.grading.fingerprints import of_result
from autograder.grading.kinds import Settings, kind_of
from autograder.grading.results import Loaded, ResultsFolder, present_run
from autograder.grading.roster import Roster, kept_roster, read_roster
from autograder.grading.tables import (
    Marks,
    StudentNames,
    finder,
    may_be,
    read_marks,
    read_times,
    readable_marks,
    students_of,
)
from autograder.records import Outcome, Report
from autograder.reports.view import neighbors
from autograder.submissions import Submission
from autograder.submissions.identity import quoted, same_student_key

MAX_FAILED_RUNS = 3
"""So often `--resume` grades again what we failed to grade, while nothing has changed."""


@dataclass(frozen=True)
class Options:
    """How a batch is graded.

    `only` are exercise ids (empty: all), `jobs` judges at a time. `times`, `marks` and `roster` are
    CSV files: times of submission, points by hand, who is in the course. `dataset` is that of final
    projects, `scheduler` the address of a Dask scheduler whose workers are to grade.
    """

    jobs: int = 1
    only: tuple[str, ...] = ()
    resume: bool = False
    spawn: bool = False
    require_isolation: Level = "process"
    times: Path | None = None
    marks: Path | None = None
    roster: Path | None = None
    dataset: DatasetName | None = None
    scheduler: str | None = None


@dataclass(frozen=True)
class Callbacks:
    """Told while a batch is graded: what begins, what is done, and lines to be shown.

    `planned` gets the reports of submissions that need no grading, and how many submissions there
    are; `stage` what is done when no submission is graded, and "" when that is over.
    """

    planned: Callable[[Sequence[Report], int], None] = lambda *_: None
    stage: Callable[[str], None] = lambda _: None
    done: Callable[[Report], None] = lambda _: None
    note: Callable[[str], None] = lambda _: None


@dataclass(frozen=True)
class Change:
    """A student whose points before the late penalty a run changed."""

    student: str
    before: float
    after: float


@dataclass(frozen=True)
class Batch:
    """What a run did: all reports of the folder, how many were graded, whose points changed.

    `kept` of the submissions had nothing to be graded; `unreadable` files among the records are
    no records.
    """

    reports: tuple[Report, ...]
    graded: int
    kept: int
    changes: tuple[Change, ...] = ()
    unreadable: int = 0


def check_folders(submissions: Path, results: Path) -> None:
    """AutograderError if results would lie among the submissions, to be collected as one."""
    below, above = results.resolve(), submissions.resolve()
    if below == above or above in below.parents:
        raise AutograderError(
            f"{results} lies in {submissions}, where it would be collected as a submission; "
            "choose another folder for results"
        )


@dataclass(frozen=True)
class _Plan:
    """What a run has to do: its job, today's fingerprints, what is stale by slug, for a cluster."""

    job: GradingJob
    fingerprints: Mapping[str, str]
    stale: Mapping[str, tuple[str, ...]]
    terms: Terms


def grade(
    course: Course,
    session: Session,
    root: Path,
    submissions: Sequence[Submission],
    results: ResultsFolder,
    options: Options,
    callbacks: Callbacks,
) -> Batch:
    """Grade what has no valid result yet, and return what the folder holds then.

    `root` is the folder of course.yaml; its `solutions/` are graded first (`verification`).
    AutograderError before any record is touched if the folder is not this session's, a table has
    mistakes, or the graders do not give the model solution all points.
    """
    results.check(course, session, continues=options.resume or bool(options.only))
    roster = _roster(results, course, options.roster, callbacks)
    if roster is not None:
        course = roster.with_extensions(course)
        enrolled = enrol(submissions, roster)
        submissions = enrolled.submissions
        for line in enrolled.lines:
            callbacks.note(line)
    submissions = _with_times(submissions, options.times, callbacks)
    with results.locked(), connected(options.scheduler) as cluster:
        former = _former(results.load(), session, callbacks)
        for line in renamed(former.values(), submissions):
            callbacks.note(line)
        everything, submissions = submissions, _decided(submissions, former, callbacks)
        students = [*students_of(former.values()), *students_of(submissions)]  # the later count
        marks = _marks(results, session, students, options.marks, callbacks)
        plan = _planned(course, session, submissions, former, results, options)
        results.start(present_run(course, session, plan.fingerprints))
        _keep_tables(results, options.roster, options.marks)
        fresh = [s.slug for s in submissions if s.slug not in plan.stale]
        callbacks.planned([former[slug] for slug in fresh if slug in former], len(submissions))
        if plan.stale:
            plan = replace(plan, job=verification.with_solution(plan.job, root))
            callbacks.stage("trying the graders on the model solution")
            verification.verify(plan.job, plan.fingerprints, root, options.spawn)
            callbacks.stage("")
        run = _RunState(course, session, results, plan.fingerprints, marks, former, submissions)
        try:
            _grade_stale(run, plan, submissions, options, callbacks, cluster)
            run.refresh({s.slug: s.submitted_at for s in submissions}, everything)
        finally:
            results.summarize(run.reports.values(), course, session)
    _note_names(course, session, roster, run, callbacks)
    return Batch(tuple(run.reports.values()), len(plan.stale), len(fresh), tuple(run.changes))


def refresh(
    course: Course,
    session: Session,
    results: ResultsFolder,
    times: Path | None,
    marks: Path | None,
    callbacks: Callbacks,
    roster_table: Path | None = None,
) -> Batch:
    """Make penalties, points by hand, pages and tables again from the records and course.yaml.

    A record that cannot be read is a line; its student is missing until graded again.
    """
    roster = _roster(results, course, roster_table, callbacks)
    course = roster.with_extensions(course) if roster is not None else course
    with results.locked():
        loaded = results.load()
        former = _former(loaded, session, callbacks)
        if not former:
            raise AutograderError(f"{results.reports} holds no records that can be read")
        students = students_of(former.values())
        known, unknown = read_times(times, students) if times is not None else ({}, ())
        for line in unknown:
            callbacks.note(line)
        given = _marks(results, session, students, marks, callbacks)
        _keep_tables(results, roster_table, marks)  # as soon as none of them is refused
        run = _RunState(course, session, results, {}, given, former)
        run.refresh(known)
        results.summarize(run.reports.values(), course, session)
    _note_names(course, session, roster, run, callbacks)
    reports = tuple(run.reports.values())
    return Batch(reports, 0, len(reports), tuple(run.changes), len(loaded.errors))


class _RunState:
    """What one run knows of the folder that it writes to: reports so far, and whose changed."""

    def __init__(
        self,
        course: Course,
        session: Session,
        results: ResultsFolder,
        fingerprints: Mapping[str, str],
        marks: Marks,
        former: Mapping[str, Report],
        submissions: Sequence[Submission] = (),
    ) -> None:
        self._around = neighbors([*former.values(), *submissions])
        self._course, self._session, self._results = course, session, results
        self._fingerprints, self._marks = fingerprints, marks
        self.reports = dict(former)
        self.changes: list[Change] = []

    def deliver(self, report: Report, submission: Submission) -> Report:
        """Keep a report that a judge made."""
        former = self.reports.get(report.slug)
        report = replace(merged(report, former, self._fingerprints), identity=submission.identity)
        time = submission.submitted_at
        if time is None and former and former.submission_sha256 == report.submission_sha256:
            time = former.lateness.submitted_at
        return self._keep(finished(report, self._course, self._session, time, self._marks))

    def refresh(
        self, times: Mapping[str, str | None], submissions: Iterable[Submission] = ()
    ) -> None:
        """Apply lateness and marks again to every report; exercises that the course lost go.

        What is known of a submission without grading it is said of these as they are now.
        """
        by_slug = {submission.slug: submission for submission in submissions}
        for slug, report in list(self.reports.items()):
            time = times.get(slug) or report.lateness.submitted_at
            known = _as_submitted(report, by_slug[slug]) if slug in by_slug else report
            fresh = finished(known, self._course, self._session, time, self._marks)
            if fresh != report:
                self._keep(fresh)

    def _keep(self, report: Report) -> Report:
        former = self.reports.get(report.slug)
        if former is not None and _verdicts(former) != _verdicts(report):
            self._results.set_aside(report.slug)
            if former.raw_points != report.raw_points:
                self.changes.append(Change(report.student, former.raw_points, report.raw_points))
        self._results.keep(report, self._course, self._session, self._around[report.slug])
        self.reports[report.slug] = report
        return report


def _as_submitted(report: Report, submission: Submission) -> Report:
    """The report of a submission whose files are as before; what lies beside them may not be."""
    if _stays(report, submission):
        return replace(report, notes=tuple(dict.fromkeys((*report.notes, _stayed(submission)))))
    return replace(
        report,
        student=submission.student,
        identity=submission.identity,
        problems=submission.told,
        notes=submission.notes,
        incidents=tuple(dict.fromkeys((*report.incidents, *submission.incidents))),
    )


def _verdicts(report: Report) -> object:
    """What may not be lost when a record is replaced: all but penalties and words."""
    return [
        (e.id, e.fingerprint, e.points, e.mark, [(t.name, t.outcome, t.message) for t in e.tests])
        for e in report.exercises
    ]


def _roster(
    results: ResultsFolder, course: Course, table: Path | None, callbacks: Callbacks
) -> Roster | None:
    """The roster that is given, else the one that the folder keeps, if there is one."""
    roster = kept_roster(results.roster, course) if table is None else read_roster(table, course)
    for line in roster.notes if roster is not None else ():
        callbacks.note(line)
    return roster


def _note_names(
    course: Course, session: Session, roster: Roster | None, run: _RunState, callbacks: Callbacks
) -> None:
    """Who of the roster is missing, and extensions of whoever is neither there nor in it."""
    for line in roster.missing(run.reports.values()) if roster is not None else ():
        callbacks.note(line)
    people = [each.student for each in (roster.people if roster is not None else ())]
    reports = run.reports.values()
    known = {same_student_key(name) for name in (*people, *(report.student for report in reports))}
    granted = (each.student for each in course.extensions if each.session == session.id)
    lost = [name for name in granted if same_student_key(name) not in known]
    called = finder(students_of(reports))
    several = {name: found for name in lost if len(found := called(name)) > 1}
    for name, found in several.items():
        callbacks.note(f"the extension of {quoted(name)} is not applied: it {may_be(found)}")
    if nobodys := [quoted(name) for name in lost if name not in several]:
        callbacks.note(
            f"extensions in {session.id} of names that nobody here has: {', '.join(nobodys)}"
        )


def _former(loaded: Loaded, session: Session, callbacks: Callbacks) -> dict[str, Report]:
    for line in loaded.errors:
        callbacks.note(line)
    present = {exercise.id for exercise in session.exercises}
    recorded = {exercise.id for report in loaded.reports for exercise in report.exercises}
    for lost in sorted(recorded - present):
        callbacks.note(f"{lost} is not in course.yaml any more; its results go to reports/former")
    return {report.slug: report for report in loaded.reports}


def _with_times(
    submissions: Sequence[Submission], times: Path | None, callbacks: Callbacks
) -> Sequence[Submission]:
    """The submissions with the times of a table, which win over those of the platform."""
    if times is None:
        return submissions
    known, unknown = read_times(times, students_of(submissions))
    for line in unknown:
        callbacks.note(line)
    return [replace(s, submitted_at=known.get(s.slug, s.submitted_at)) for s in submissions]


def _decided(
    submissions: Iterable[Submission], former: Mapping[str, Report], callbacks: Callbacks
) -> list[Submission]:
    """What is to be graded: all but what cannot be told and has a result from before.

    That result stays: another file beside a submission takes nobody's points.
    """
    left = []
    for submission in submissions:
        record = former.get(submission.slug)
        if record is not None and _stays(record, submission):
            callbacks.note(f"{quoted(record.student)}: {_stayed(submission)}")
        else:
            left.append(submission)
    return left


def _stays(report: Report, submission: Submission) -> bool:
    return is_undecided(submission) and not has_no_file(report)


def _stayed(submission: Submission) -> str:
    return f"the former result stays: {submission.problems[0]}"


def _planned(
    course: Course,
    session: Session,
    submissions: Iterable[Submission],
    former: Mapping[str, Report],
    results: ResultsFolder,
    options: Options,
) -> _Plan:
    kind = kind_of(session)
    settings = Settings(results.secret(), options.only, options.require_isolation, options.dataset)
    job = kind.job(course, session, settings)
    fingerprints = kind.fingerprints(course, session, settings)
    stale = {
        submission.slug: ids
        for submission in submissions
        if (ids := _stale(job, fingerprints, submission, former.get(submission.slug), options))
    }
    terms = Terms(course, session.id, settings, fingerprints, spawn=options.spawn)
    return _Plan(job, fingerprints, stale, terms)


def _stale(
    job: GradingJob,
    fingerprints: Mapping[str, str],
    submission: Submission,
    former: Report | None,
    options: Options,
) -> tuple[str, ...]:
    """The exercises of a submission that have to be graded."""
    if former is None or not options.resume:
        return tuple(exercise.id for exercise in job.exercises)
    given_up = former.failed_runs >= MAX_FAILED_RUNS
    valid = {
        exercise.id: exercise.fingerprint
        for exercise in former.exercises
        if exercise.outcome is not Outcome.TOOL_ERROR or given_up
    }
    return tuple(
        exercise.id
        for exercise in job.exercises
        if valid.get(exercise.id) != of_result(fingerprints[exercise.id], submission.sha256)
    )


def _marks(
    results: ResultsFolder,
    session: Session,
    students: Iterable[StudentNames],
    table: Path | None,
    callbacks: Callbacks,
) -> Marks:
    """Points by hand: from a new table, else from the one that was kept."""
    students = list(dict.fromkeys(students))
    if table is not None:
        return read_marks(table, session, students)
    if not results.marks.is_file():
        return {}
    marks, errors = readable_marks(results.marks, session, students)
    for line in errors:
        callbacks.note(f"{line}; this mark is not applied")
    return marks


def _keep_tables(results: ResultsFolder, roster: Path | None, marks: Path | None) -> None:
    """Keep the tables that were given, all of which have been read."""
    if roster is not None:
        results.keep_roster(roster.read_bytes())
    if marks is not None:
        results.keep_marks(marks.read_bytes())


def _grade_stale(
    run: _RunState,
    plan: _Plan,
    submissions: Sequence[Submission],
    options: Options,
    callbacks: Callbacks,
    cluster: Cluster | None,
) -> None:
    same_work: dict[object, list[Submission]] = {}
    for submission in submissions:
        if submission.slug in plan.stale:
            key = (submission.group or submission.slug, submission.sha256)
            same_work.setdefault((*key, plan.stale[submission.slug]), []).append(submission)
    members = {group[0].slug: group for group in same_work.values()}

    def deliver(report: Report) -> None:
        for member in members[report.slug]:  # a group's work is graded once
            own = replace(report, student=member.student, slug=member.slug)
            callbacks.done(run.deliver(own, member))

    if members:
        first = [group[0] for group in members.values()]
        job = replace(plan.job, only_for=dict(plan.stale))
        if cluster is None:
            pool.grade(job, first, deliver, lambda *_: None, options.jobs, options.spawn)
        else:
            cluster.grade(plan.terms, job, first, deliver, callbacks.note)
