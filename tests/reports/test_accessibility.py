"""The pages in a real browser: no finding of axe-core, and nothing wider than the window.

Skipped where no Chromium is on the path, or Playwright is not installed.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder.records import ExerciseResult, Outcome, Report, TestResult
from autograder.reports.html import class_page, student_page
from tests.project.reports import report_of
from tests.records.test_measurement import SCORE
from tests.reports import samples

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WINDOWS = ((1280, 900), (420, 900))  # a notebook, a phone
SCHEMES = ("light", "dark")
LONG = "def a_long_name_of_a_function(argument):\n    return " + " + ".join(["argument"] * 40)


def functions() -> list[Report]:
    """A small class of session 1; the first report shows every outcome, and source."""
    mixed = samples.mixed()
    by_outcome = {exercise.outcome: exercise for exercise in mixed.exercises}
    full = replace(
        mixed,
        exercises=tuple(sorted(by_outcome.values(), key=lambda e: e.id)),
        sources={"metrics.py": f"{LONG}\n", "training.py": "raise RuntimeError\n"},
    )
    others = [samples.blank(), *samples.course_class(3)]
    ids = {exercise.id for exercise in full.exercises}
    return [full, *(replace(r, exercises=_only(r, ids)) for r in others)]


def _only(report: Report, ids: set[str]) -> tuple[ExerciseResult, ...]:
    return tuple(exercise for exercise in report.exercises if exercise.id in ids)


def projects() -> list[Report]:
    """A valid final project, late and marked in part, and one that was refused."""
    parts = (("valid", Outcome.PASSED, 60.0), ("cost", Outcome.PARTIAL, 12.3))
    tests = tuple(
        TestResult(f"test_{name}", f"What {name} says.", outcome, points / 60)
        for name, outcome, points in parts
    )
    results = tuple(
        ExerciseResult(f"s7.{name}", f"Title of {name}", "", outcome, points, 60.0, tests=(test,))
        for (name, outcome, points), test in zip(parts, tests, strict=True)
    )
    valid = replace(report_of(SCORE), exercises=results, lateness=samples.mixed().lateness)
    refused = replace(
        valid,
        student="refused",
        slug="refused",
        score=replace(SCORE, team="refused", measurement=None, refusal="model.onnx: no ONNX file"),
        exercises=tuple(replace(e, outcome=Outcome.FAILED, points=0.0) for e in results),
    )
    return [valid, refused]


def pages() -> dict[str, str]:
    """Name -> HTML of every page that is looked at."""
    found = {}
    for session, reports in (("functions", functions()), ("project", projects())):
        found[f"{session}: class"] = class_page(reports, samples.COURSE, samples.SESSION)
        for audience, name in (("ta", "staff"), ("student", "feedback")):
            page = student_page(reports[0], audience, samples.COURSE, samples.SESSION)  # type: ignore[arg-type]
            found[f"{session}: {name}"] = page
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One headless Chromium for all pages; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on the path: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=found,
            chromium_sandbox=False,  # Chromium's own does not start for root; the pages are ours
            args=["--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield chromium
        chromium.close()


def findings(page: Any) -> list[str]:
    """What axe-core and the width of the open page have against it, one line each."""
    from axe_playwright_python.sync_playwright import Axe

    result = Axe().run(page).response
    found = [
        f"{violation['id']} at {node['target']}: {node['failureSummary']}"
        for violation in result["violations"]
        for node in violation["nodes"]
    ]
    width, window = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    if width > window:
        found.append(f"{width} pixels wide in a window of {window}")
    return found


def test_pages_are_accessible_and_fit_the_window(browser: Any, tmp_path: Path) -> None:
    found = {}
    page = browser.new_page()
    for number, (name, html) in enumerate(pages().items()):
        place = tmp_path / f"{number}.html"
        place.write_text(html, "utf-8")
        page.goto(place.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        for scheme, (width, height) in itertools.product(SCHEMES, WINDOWS):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": height})
            if lines := findings(page):
                found[f"{name}, {scheme}, {width}"] = lines
    page.close()
    assert found == {}


def test_a_page_with_faults_is_found(browser: Any) -> None:
    """The test above sees what it is meant to see."""
    page = browser.new_page(viewport={"width": 420, "height": 900})
    page.set_content("<img src='data:,'><p style='width: 900px; color: #eee'>Pale and wide</p>")
    text = "\n".join(findings(page))
    page.close()
    assert "image-alt" in text
    assert "color-contrast" in text
    assert "pixels wide in a window of 420" in text
