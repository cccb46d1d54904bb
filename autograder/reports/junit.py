"""JUnit XML of one report, for continuous integration."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from autograder.records import Outcome, Report
from autograder.reports.view import (
    LINE_LIMIT,
    NAME_LIMIT,
    Audience,
    CheckView,
    ExerciseView,
    by_student,
    modules_of,
    number,
    percent,
)
from autograder.text_safety import clean_line

# PASSED has no element of its own.
_ELEMENT = {
    Outcome.PARTIAL: "failure",
    Outcome.FAILED: "failure",
    Outcome.BLANK: "skipped",
    Outcome.BLOCKED: "skipped",
    Outcome.MISSING: "skipped",
    Outcome.NOT_MARKED: "skipped",
    Outcome.CRASHED: "error",
    Outcome.TIMED_OUT: "error",
    Outcome.OUT_OF_MEMORY: "error",
    Outcome.REFUSED: "error",
    Outcome.TOOL_ERROR: "error",
}


def junit_xml(report: Report, audience: Audience = "student") -> str:
    """`report` as well-formed JUnit XML: a suite for each exercise, a case for each test.

    For students the hidden tests of an exercise are one case, passed or failed with their count,
    and no case has a traceback.
    """
    name = f"{clean_line(report.session, NAME_LIMIT)} {clean_line(report.student, NAME_LIMIT)}"
    root = Element("testsuites", name=name)
    for module in modules_of(report, audience):
        for exercise in module.exercises:
            root.append(_suite(exercise, module.name))
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def class_junit_xml(reports: Iterable[Report]) -> str:
    """The same for a class, as its students may see it: their suites one after the other."""
    root = Element("testsuites")
    for report in by_student(reports):
        suites = ElementTree.fromstring(junit_xml(report).partition("\n")[2])
        name = clean_line(report.student, NAME_LIMIT)
        for suite in suites:
            suite.set("name", f"{name}: {suite.get('name')}")
            root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def _suite(exercise: ExerciseView, module: str) -> Element:
    suite = Element("testsuite", name=exercise.id)
    properties = SubElement(suite, "properties")
    for key, value in (
        ("title", exercise.title),
        ("outcome", str(exercise.outcome)),
        ("points", number(exercise.points)),
        ("maximum", number(exercise.maximum)),
    ):
        SubElement(properties, "property", name=key, value=value)
    for check in exercise.checks:
        suite.append(_case(check, f"{module}.{exercise.id}"))
    if exercise.hidden:
        suite.append(_hidden_case(exercise, f"{module}.{exercise.id}"))
    suite.set("tests", str(len(suite.findall("testcase"))))
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("time", f"{sum(check.seconds for check in exercise.checks):.3f}")
    return suite


def _case(check: CheckView, classname: str) -> Element:
    case = Element("testcase", name=check.title, classname=classname, time=f"{check.seconds:.3f}")
    tag = _ELEMENT.get(check.outcome)
    if tag:
        share = f" {percent(check.credit)}" if check.outcome is Outcome.PARTIAL else ""
        first = clean_line(check.hint, LINE_LIMIT) or str(check.outcome)
        element = SubElement(case, tag, type=str(check.outcome), message=f"{first}{share}")
        element.text = "\n".join(filter(None, (check.detail or check.hint, check.output)))
    return case


def _hidden_case(exercise: ExerciseView, classname: str) -> Element:
    hidden = exercise.hidden
    case = Element("testcase", name=str(hidden), classname=classname)
    if hidden.passed < hidden.total:
        tag = "skipped" if _ELEMENT.get(exercise.outcome) == "skipped" else "failure"
        SubElement(case, tag, message=str(hidden))
    return case
