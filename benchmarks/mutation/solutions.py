"""Mutants of the model solutions, graded as submissions: judge, workers and graders as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autograder.course import Course, Session, load_course
from autograder.engine.host import pool
from autograder.engine.job import GradingJob
from autograder.grading.kinds import Settings, kind_of
from autograder.records import Outcome, Report
from autograder.release import find_regions
from autograder.submissions import Submission
from autograder.submissions.submission import content_hash
from benchmarks.common import ROOT
from benchmarks.mutation.mutants import Mutant, mutants, normalized
from benchmarks.mutation.records import Verdict, Verdicts, fingerprint

SECRET = b"draws of mutants"
LONG_SECONDS = 1800.0
_BY_THE_CLOCK = ("exercise_seconds", "submission_seconds")


@dataclass(frozen=True)
class Solution:
    """A session with the texts of its solution by file name."""

    course: Course
    session: Session
    files: dict[str, str]

    def path(self, file: str) -> str:
        """Of a file, below the root."""
        return f"solutions/{self.session.folder}/{file}"


def solution(name: str) -> Solution:
    """The solution of a session, by id or folder; CourseError if there is none."""
    course = load_course(ROOT / "course.yaml")
    session = course.session(name)
    folder = ROOT / "solutions" / session.folder
    return Solution(
        course, session, {f: (folder / f).read_text("utf-8") for f in session.required_files}
    )


def sessions() -> list[str]:
    """Ids of the sessions whose functions are graded."""
    course = load_course(ROOT / "course.yaml")
    return [session.id for session in course.sessions if session.kind == "functions"]


def exercise_mutants(of: Solution, exercise_id: str) -> list[Mutant]:
    """The mutants of what students write for an exercise: the lines of its regions."""
    exercise = of.session.exercise(exercise_id)
    text = of.files[exercise.file]
    lines = {
        line
        for region in find_regions(text, exercise.file)
        if region.id == exercise_id
        for line in range(region.begin, region.end)
    }
    return mutants(text, exercise_id, lines)


def judge(
    of: Solution, chosen: Sequence[Mutant], verdicts: Verdicts, jobs: int
) -> Iterator[tuple[Mutant, Verdict]]:
    """Grade each mutant on its own exercise.

    RuntimeError if the unchanged solution does not get all points of these exercises, or if a
    grader itself fails on a mutant.
    """
    settings = Settings(SECRET)
    prints = kind_of(of.session).fingerprints(of.course, of.session, settings)
    names = {}
    for mutant in chosen:
        name = fingerprint(prints[mutant.key.where], _submission(of, "", mutant).sha256)
        names[mutant] = name
        if (known := verdicts.get(name)) is not None:
            yield mutant, known
    pending = [mutant for mutant in chosen if verdicts.get(names[mutant]) is None]
    if pending:
        _grade(of, pending, names, prints, verdicts, jobs)
    for mutant in pending:
        if (verdict := verdicts.get(names[mutant])) is not None:
            yield mutant, verdict


def _submission(of: Solution, slug: str, mutant: Mutant | None) -> Submission:
    """The solution as mutants are written, with one file changed."""
    files = {name: normalized(text) for name, text in of.files.items()}
    if mutant is not None:
        files[of.session.exercise(mutant.key.where).file] = mutant.source()
    contents = {name: text.encode() for name, text in files.items()}
    return Submission(slug, slug, content_hash(contents), tuple(contents.items()))


def _job(of: Solution, own: Mapping[str, tuple[str, ...]]) -> GradingJob:
    """On a busy machine nothing ends a check but the processor time that it took."""
    job = kind_of(of.session).job(of.course, of.session, Settings(SECRET))
    limits = job.limits.model_copy(update=dict.fromkeys(_BY_THE_CLOCK, LONG_SECONDS))
    patience = LONG_SECONDS / limits.test_seconds
    return replace(job, only_for=own, only_first_loss=True, limits=limits, patience=patience)


def _grade(
    of: Solution,
    pending: Sequence[Mutant],
    names: Mapping[Mutant, str],
    prints: Mapping[str, str],
    verdicts: Verdicts,
    jobs: int,
) -> None:
    """Grade what is pending, and the unchanged solution first where that is not known yet."""
    unchanged = _submission(of, "unchanged", None)
    places = dict.fromkeys(mutant.key.where for mutant in pending)
    known_right = {where: fingerprint(prints[where], unchanged.sha256) for where in places}
    by_slug = {f"mutant{number:05}": mutant for number, mutant in enumerate(pending)}
    own = {slug: (mutant.key.where,) for slug, mutant in by_slug.items()}
    own["unchanged"] = tuple(w for w in places if verdicts.get(known_right[w]) is None)
    faults: list[str] = []

    def deliver(report: Report) -> None:
        if mutant := by_slug.get(report.slug):
            if (verdict := _verdict(report)) is None:
                faults.append(f"{mutant.key.where}: {mutant.key.before} -> {mutant.key.after}")
            else:
                verdicts.add(names[mutant], verdict)
        elif lost := [e.id for e in report.exercises if e.points < e.maximum]:
            raise RuntimeError(f"the unchanged solution loses points in {', '.join(lost)}")
        else:
            for exercise in report.exercises:
                verdicts.add(known_right[exercise.id], "survived")

    submissions = [_submission(of, slug, mutant) for slug, mutant in by_slug.items()]
    if own["unchanged"]:
        submissions.insert(0, unchanged)
    pool.grade(_job(of, own), submissions, deliver, lambda *_: None, jobs=jobs)
    if faults:
        raise RuntimeError("the grader fails, not the submission: " + "; ".join(faults))


def _verdict(report: Report) -> Verdict | None:
    """Whether a point is lost; None if that was our own fault."""
    (exercise,) = report.exercises
    if exercise.outcome is Outcome.TOOL_ERROR:
        return None
    return "caught" if exercise.points < exercise.maximum else "survived"
