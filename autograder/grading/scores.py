"""Records of final projects that are kept by time, so that a folder holds a team's history.

scores/
    TEAM-TIME-HASH.json     a report, the same record as in a results folder
    TEAM-TIME-HASH.md       the page of it
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from autograder.course import FinalProject
from autograder.errors import AutograderError
from autograder.files import writable_folder, write_output
from autograder.grading.results import Loaded, read_report
from autograder.project.costs import revalidate
from autograder.records import Report
from autograder.records.codec import to_json
from autograder.records.measurement import Score
from autograder.reports.score import markdown


def keep(report: Report, folder: Path) -> Path:
    """Write a record and its page into a folder, each whole or not at all; returns the record."""
    if report.score is None:
        raise AutograderError(f"nothing was measured of {report.student}")
    score = report.score
    writable_folder(folder)
    moment = "".join(char for char in score.scored_at[:19] if char.isdigit())
    record = folder / f"{score.team}-{moment}-{score.sha256[:8]}.json"
    write_output(record.with_suffix(".md"), markdown(report))
    write_output(record, to_json(report), durable=True)
    return record


def load(folder: Path, project: FinalProject) -> Loaded:
    """The reports with a score in a folder, under the course's present rules.

    The folder is one that `keep` wrote, or a results folder. There whoever submitted may enter, as
    the course knows them from the platform, and a group is one team, with its work once. A record
    that may not count is a line that names its file and why.
    """
    in_results = (folder / "run.json").is_file()
    if in_results:
        project = project.model_copy(update={"teams": ()})
    reports, errors = [], []
    for path in sorted((folder / "reports" if in_results else folder).glob("[!.]*.json")):
        try:
            report = read_report(path)
            if report.score is not None:
                reports.append(replace(report, score=revalidate(report.score, project)))
        except AutograderError as error:
            errors.append(str(error))
        except ValueError as error:
            errors.append(f"{path}: {error}")
    return Loaded(_by_group(reports) if in_results else tuple(reports), tuple(errors))


def _by_group(reports: Iterable[Report]) -> tuple[Report, ...]:
    """Each member has a record of the group's work; one of them stays, as the group's."""
    kept: dict[tuple[str, str], Report] = {}
    for report in reports:
        group = report.identity.group
        if group and report.score is not None:
            report = replace(report, score=replace(report.score, team=group))
        whose = f"group {group}" if group else report.slug
        kept.setdefault((whose, report.submission_sha256), report)
    return tuple(kept.values())


def scores_of(reports: tuple[Report, ...]) -> list[Score]:
    """The scores of these reports."""
    return [report.score for report in reports if report.score is not None]
