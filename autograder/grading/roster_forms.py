"""Rosters as other tools export them, read as ours: columns renamed, the staff left out.

GitHub Classroom, roster:  identifier, github_username, github_id, name
GitHub Classroom, grades:  assignment_name, …, github_username, roster_identifier, …
Classroom 50, roster.csv:  username, first_name, last_name, email, section, github_id, role, …

Columns of ours that somebody added to such a file (`student`, `moodle`, `s1 due`, …) count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from autograder.grading.tables import Form, Row

_STAFF = ("teacher", "hta", "ta")


@dataclass(frozen=True)
class _Export:
    """A form: `marks` tell it; our columns are made of the first of these columns with a value.

    `unread` are columns of the export that say nothing about who somebody is.
    """

    marks: frozenset[str]
    sources: Mapping[str, Sequence[str]]
    unread: frozenset[str]


_EXPORTS = (
    _Export(
        marks=frozenset({"identifier", "github_username"}),
        sources={"student": ("identifier", "github_username"), "github": ("github_username",)},
        unread=frozenset({"github_id"}),
    ),
    _Export(
        marks=frozenset({"roster_identifier", "github_username"}),
        sources={
            "student": ("roster_identifier", "github_username"),
            "github": ("github_username",),
        },
        unread=frozenset(
            {
                *("assignment_name", "assignment_url", "starter_code_url"),
                *("student_repository_name", "student_repository_url", "submission_timestamp"),
                *("points_awarded", "points_available"),
            }
        ),
    ),
    _Export(
        marks=frozenset({"username", "first_name", "last_name"}),
        sources={"student": ("username", "email"), "github": ("username",)},
        unread=frozenset(
            {
                *("first_name", "last_name", "github_id", "role", "enrollment_status"),
                *("enrollment_method", "email_hash", "invite_token", "invited_at", "enrolled_at"),
            }
        ),
    ),
)


def form_of(columns: Sequence[str]) -> Form | None:
    """How to read a table with these columns (in lower case); None if it is no export."""
    for export in _EXPORTS:
        if export.marks <= set(columns):
            read = export.unread | {name for names in export.sources.values() for name in names}
            kept = [name for name in columns if name not in read or name == "email"]
            ours = dict.fromkeys((*export.sources, "name", *kept))
            return Form(tuple(ours), partial(_row, export))
    return None


def _row(export: _Export, row: Row) -> Row | None:
    if row.get("role", "").casefold() in _STAFF:
        return None
    made = dict(row)
    for column, names in export.sources.items():
        values = (row[name] for name in (column, *names) if row.get(name))
        made[column] = next(values, "")
    whole = " ".join(filter(None, (row.get("first_name", ""), row.get("last_name", ""))))
    made["name"] = row.get("name") or whole
    return made
