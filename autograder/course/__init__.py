"""course.yaml: the one place where sessions, points, dates, limits and project rules are stated.

`load_course` reads and checks it. Every mistake is a `CourseError` of the form

    course.yaml:LINE: KEY: expected X, got Y

whose line comes from the marks of the YAML nodes. `schema` says what each value may be,
`consistency` what must go together, `resolution` what must be there besides the file.
"""

from autograder.course.reading import load_course, parse_course, resolve
from autograder.course.schema import (
    ArchiveLimits,
    Course,
    CourseExercise,
    Credit,
    CutOff,
    DatasetName,
    DatasetRules,
    Extension,
    FeedbackPolicy,
    FinalProject,
    GracePeriod,
    LatePolicy,
    Limits,
    Module,
    NoPenalty,
    PercentPerDay,
    Reference,
    Session,
)

__all__ = [
    "ArchiveLimits",
    "Course",
    "CourseExercise",
    "Credit",
    "CutOff",
    "DatasetName",
    "DatasetRules",
    "Extension",
    "FeedbackPolicy",
    "FinalProject",
    "GracePeriod",
    "LatePolicy",
    "Limits",
    "Module",
    "NoPenalty",
    "PercentPerDay",
    "Reference",
    "Session",
    "load_course",
    "parse_course",
    "resolve",
]
