"""Frozen records of what grading produces, their written form, and how credit becomes points.

report        one submission: exercises, tests, lateness, cost, isolation
measurement   one final project: what its file holds and how it answers (a report's attachment)
points        from test results to exercise results: the only place where credit becomes points
codec         the written form: strict JSON, one schema version
"""

from autograder.records.report import (
    KNOWN_MISTAKE,
    SCHEMA_VERSION,
    ExerciseResult,
    FeedbackLevel,
    Identity,
    Isolation,
    Lateness,
    Mark,
    Outcome,
    Report,
    TestResult,
    Usage,
    Visibility,
)

__all__ = [
    "KNOWN_MISTAKE",
    "SCHEMA_VERSION",
    "ExerciseResult",
    "FeedbackLevel",
    "Identity",
    "Isolation",
    "Lateness",
    "Mark",
    "Outcome",
    "Report",
    "TestResult",
    "Usage",
    "Visibility",
]
