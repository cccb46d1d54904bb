"""All feedback pages in one zip, each under the name that its student's files had."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from autograder.course import Course, Session
from autograder.grading.disclosure import shown_now
from autograder.records import Report
from autograder.reports.html import student_page

_STAMP = (1980, 1, 1, 0, 0, 0)  # the same bytes for the same pages
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
    buffer, now = io.BytesIO(), datetime.now(UTC)
    with zipfile.ZipFile(buffer, "w") as packed:
        for report in sorted(reports, key=lambda each: names.get(each.slug, "")):
            if report.slug not in names:
                continue
            name = names[report.slug].encode("utf-8", "replace").decode("utf-8")
            info = zipfile.ZipInfo(name, _STAMP)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            shown = shown_now(course.feedback, report.lateness, now)
            page = student_page(report, "student", course.title, session.title, shown)
            packed.writestr(info, page)
    return buffer.getvalue()
