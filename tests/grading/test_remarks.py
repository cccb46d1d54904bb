"""What a student is told of other versions of the files reaches the report, and costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.course import ArchiveLimits
from autograder.engine.job import GradingJob, report_of
from autograder.grading import batch, checking, verification
from autograder.grading.batch import Batch, Callbacks, Options
from autograder.grading.results import ResultsFolder
from autograder.records import Report
from autograder.submissions import Submission, collect
from tests.collect.downloads import put
from tests.grading.support import Class, klass  # noqa: F401 - a fixture

LIMITS = ArchiveLimits(max_files=60, max_bytes=5_000_000, max_ratio=100.0)
LINE = "graded: the files of the top; not graded: 'old'. If those count, submit them alone"


@pytest.fixture
def judged(klass: Class, monkeypatch: pytest.MonkeyPatch) -> Class:  # noqa: F811
    """The class with a judge that says in a report what every judge says."""

    def judge(
        job: GradingJob,
        submissions: Iterable[Submission],
        deliver: Callable[[Report], None],
        **_: Any,
    ) -> None:
        for each in submissions:
            told = report_of(job, each, ()).problems
            klass.judge(job, [replace(each, problems=told)], deliver)

    monkeypatch.setattr(batch.pool, "grade", lambda j, s, d, *_, **__: judge(j, s, d))
    monkeypatch.setattr(verification.pool, "grade", lambda j, s, d, *_, **__: judge(j, s, d))
    return klass


def grade(judged: Class, folder: Path, results: str = "results", **options: bool) -> Batch:
    session = judged.course.session("s1")
    collected = collect(folder, session, LIMITS)
    return batch.grade(
        judged.course,
        session,
        judged.root,
        collected.submissions,
        ResultsFolder(judged.root / results),
        Options(**options),  # type: ignore[arg-type]
        Callbacks(),
    )


def test_the_line_is_in_the_report_and_stays_with_resume(judged: Class, tmp_path: Path) -> None:
    folder = put(tmp_path / "in", {"ada/work.py": b"add sub", "bob/work.py": b"sub"})
    first = grade(judged, folder)
    assert [report.problems for report in first.reports] == [(), ()]
    put(folder, {"ada/old/work.py": b"sub"})
    judged.asked.clear()
    for _ in range(2):
        ada, bob = grade(judged, folder, resume=True).reports
        assert (ada.problems, bob.problems) == ((LINE,), ())
        assert (ada.raw_points, judged.asked) == (first.reports[0].raw_points, [])
        assert ada.notes == ("other complete files were not graded ('old'), those of the top were",)
    new = grade(judged, folder, "new")
    assert [report.problems for report in new.reports] == [(LINE,), ()]


def test_another_version_beside_the_model_solution_stops_nothing(
    judged: Class, tmp_path: Path
) -> None:
    put(judged.root / "solutions" / "s1_test", {"work.py": b"add sub", "old/work.py": b"sub"})
    folder = put(tmp_path / "in", {"ada/work.py": b"add sub"})
    assert [report.student for report in grade(judged, folder).reports] == ["ada"]


def test_who_checks_the_files_of_a_folder_hears_nothing_of_others(
    judged: Class, tmp_path: Path
) -> None:
    """`submit` packs these, and its zip may lie beside them."""
    session = judged.course.session("s1")
    folder = put(tmp_path, {"own/work.py": b"add", "own/old/work.py": b"sub"}) / "own"
    submission = checking.own_submission(folder, session, LIMITS)
    assert (dict(submission.files), submission.told) == ({"work.py": b"add"}, ())
    (folder / "work.py").unlink()
    put(folder, {"old/older/work.py": b"mul"})  # which of these is checked has to be said
    assert checking.own_submission(folder, session, LIMITS).told
