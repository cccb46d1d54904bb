"""All feedback pages in one zip, each under the name that its student's files had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from autograder.course import Course, Session
from autograder.files import zip_bytes
from autograder.grading.disclosure import shown_now
from autograder.records import Report
from autograder.reports.html import student_page

PAGE = "feedback.html"


def names_of_download(reports: Sequence[Report]) -> dict[str, str]:
    """The name of each page by slug: beside the student's files, or in a folder of the slug."""
    names: dict[str, str] = {}
    for report in reports:
        name = f"{report.identity.download}{PAGE}"
        if not report.identity.download or name in names.values():
            name = f"{report.slug}/{PAGE}"
        names[report.slug] = name
    return names


def archive(
    reports: Sequence[Report], names: Mapping[str, str], course: Course, session: Session
) -> bytes:
    """A zip of the students' pages, with what they may see now, of reports that have a name."""
    now = datetime.now(UTC)
    pages = {}
    for report in reports:
        if report.slug not in names:
            continue
        name = names[report.slug].encode("utf-8", "replace").decode("utf-8")
        shown = shown_now(course.feedback, report.lateness, now)
        page = student_page(report, "student", course.title, session.title, shown)
        pages[name] = page.encode("utf-8")
    return zip_bytes(pages)
