"""Grades a folder of submissions with this kit, as `autograder grade` does, but graders of choice.

    python -m benchmarks.kit COURSE GRADERS SUBMISSIONS OUTPUT [--stages FILE]

Reports, pages and grades.csv are written as always; only the folder of the graders differs.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

from autograder.course import load_course
from autograder.grading import batch, kinds
from autograder.grading.results import ResultsFolder
from autograder.submissions import collect
from benchmarks.common import ROOT


def main() -> None:
    """Read the arguments and grade."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("course", "graders", "submissions", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--stages", type=Path, help="write where the time went to this file")
    parser.add_argument("--require-isolation", default="process")
    options = parser.parse_args()
    course = load_course(options.course)
    session = course.sessions[0]
    collected = collect(options.submissions, session, course.limits.archive)
    with (
        mock.patch.object(kinds, "graders_of", return_value=options.graders),
        mock.patch.object(subprocess, "Popen", _with_stages(options.stages)),
    ):
        batch.grade(
            course,
            session,
            options.course.parent,
            collected.submissions,
            ResultsFolder(options.output),
            batch.Options(require_isolation=options.require_isolation),
            batch.Callbacks(),
        )


def _with_stages(report: Path | None) -> Any:
    """`subprocess.Popen`, or one that starts the zygote with `benchmarks.stages` installed."""
    popen = subprocess.Popen
    if report is None:
        return popen

    def start(command: list[str], **options: Any) -> Any:
        *before, code = command
        setup = (
            f"import sys; sys.path.append({str(ROOT)!r}); from pathlib import Path; "
            f"from benchmarks.stages import install; install(Path({str(report)!r})); "
        )
        return popen([*before, setup + code], **options)

    return start


if __name__ == "__main__":
    main()
