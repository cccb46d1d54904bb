"""Every attack of the bank, graded in one batch between innocent submissions.

The bank is `tests/submissions/hostile/`: one folder an attack, described in its `attack.yaml`. An
attack that succeeds against the present code stands in the bank with a key `open`, and the check
that it fails is expected to fail, strictly.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autograder.engine.sandbox import paths
from autograder.records import Outcome, Report
from autograder.reports.html import TEMPLATES
from autograder.submissions import identity
from tests.hostile import support
from tests.hostile.support import INNOCENT, POINTS, Attack, Stage
from tests.support import ROOT, exercise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the bank attacks Linux"),
]

ATTACKS = support.attacks()
LINES = {
    *("Reading", "Forging", "Lying values", "Resources", "Import", "Archives", "Network"),
    *("Pickles", "Reports", "Process", "Channel"),
}
NAMED = {
    *(Outcome.REFUSED, Outcome.MISSING, Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.OUT_OF_MEMORY),
}


@dataclasses.dataclass(frozen=True)
class Graded:
    """What a batch left behind."""

    stage: Stage
    reports: dict[str, Report]
    alone: dict[str, Report]  # the innocents, graded without attackers
    changed: list[str]
    left: list[str]
    survivors: list[str]

    def report(self, attack: Attack) -> Report:
        """The report of one attack."""
        return self.reports[self.student(attack)]

    def student(self, attack: Attack) -> str:
        """The name under which an attack's report was written."""
        slug = identity.slug(attack.folder)
        return next(name for name, report in self.reports.items() if report.slug == slug)


@pytest.fixture(scope="module")
def graded() -> Iterator[Graded]:
    """The whole bank, graded once."""
    with support.stage() as stage, support.stage() as quiet, support.listening(stage):
        quiet.canaries |= {name: stage.canaries[name] for name in ("OTHER", "SECRET")}
        quiet.submit_innocents()
        stage.submit_innocents()
        for attack in ATTACKS:
            if not support.lacking(attack):
                stage.submit(attack)
        alone = quiet.grade()
        before = stage.snapshot()
        with support.adopting():
            reports = stage.grade()
            survivors = support.survivors(str(stage.root))
        after = stage.snapshot()
        changed = sorted(
            path for path in before.keys() | after.keys() if before.get(path) != after.get(path)
        )
        left = [str(path) for path in (stage.root / "tmp").iterdir()]
        left += support.files_of_workers(map(Path, ("/tmp", "/dev/shm", "/var/tmp", "/run")))
        yield Graded(stage, reports, alone, changed, left, survivors)


def expected_to_fail(reason: str) -> pytest.MarkDecorator:
    """A failing check is expected; a batch that cannot be graded is an error all the same."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)


def each(check: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test for each attack; it must fail where the attack says that `check` is open."""
    parameters = []
    for attack in ATTACKS:
        marks = []
        if reason := support.lacking(attack):
            marks.append(pytest.mark.skip(reason=reason))
        elif check in attack.open:
            marks.append(expected_to_fail(attack.open[check]))
        parameters.append(pytest.param(attack, marks=marks, id=attack.name))
    return pytest.mark.parametrize("attack", parameters)


# ---- the bank itself ---------------------------------------------------------------------------


def test_the_bank_covers_every_line() -> None:
    assert len(ATTACKS) >= 90
    assert {attack.line for attack in ATTACKS} == LINES


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_entry_is_well_formed(attack: Attack) -> None:
    assert set(attack.attacks) <= set(POINTS)
    assert attack.expect <= set(Outcome)
    assert attack.title.endswith(".")
    assert attack.open.keys() <= {"points", "outcome", "named", "hidden", "elsewhere"}
    assert 0 <= attack.points <= sum(POINTS[name] for name in attack.attacks)


# ---- one attack --------------------------------------------------------------------------------


@each("points")
def test_an_attack_earns_nothing_that_it_does_not_deserve(graded: Graded, attack: Attack) -> None:
    report = graded.report(attack)
    earned = sum(exercise(report, name).points for name in attack.attacks)
    assert earned <= attack.points, story(report, attack)


@each("outcome")
def test_an_attack_ends_as_expected(graded: Graded, attack: Attack) -> None:
    report = graded.report(attack)
    outcomes = {exercise(report, name).outcome for name in attack.attacks}
    assert outcomes <= attack.expect, story(report, attack)


@each("elsewhere")
def test_an_attack_costs_nothing_elsewhere(graded: Graded, attack: Attack) -> None:
    report = graded.report(attack)
    lost = {
        name
        for name, points in POINTS.items()
        if name not in attack.attacks and exercise(report, name).points != points
    }
    assert lost == set(), story(report, attack)


@each("named")
def test_an_attack_is_named(graded: Graded, attack: Attack) -> None:
    report = graded.report(attack)
    outcomes = {exercise(report, name).outcome for name in attack.attacks}
    assert not report.has_tool_error, story(report, attack)
    if attack.must_be_named:
        assert report.incidents or report.notes or outcomes & NAMED, story(report, attack)
    if attack.archive or not attack.code + "".join(attack.files):
        assert report.problems, story(report, attack)


@each("hidden")
def test_an_attack_learns_nothing(graded: Graded, attack: Attack) -> None:
    report = graded.report(attack)
    texts = graded.stage.texts(report)
    found = [place for place, secret in graded.stage.canaries.items() if secret in texts]
    assert found == [], story(report, attack)
    assert graded.stage.escaped not in texts, story(report, attack)


def story(report: Report, attack: Attack) -> str:
    """What happened, for the message of a failing test."""
    lines = [attack.title, *report.problems, *report.incidents, *report.notes]
    for name in POINTS:
        result = exercise(report, name)
        for test in result.tests:
            if test.outcome is not Outcome.PASSED or name in attack.attacks:
                said = f"{name}: {test.outcome} in {test.seconds} s: {test.message[:300]}"
                lines += [said, test.detail[-1500:]]
    return "\n".join(lines)


# ---- everybody else ----------------------------------------------------------------------------


def test_the_batch_is_finished(graded: Graded) -> None:
    attacked = [attack for attack in ATTACKS if not support.lacking(attack)]
    assert len(graded.reports) == len(attacked) + len(INNOCENT)


@pytest.mark.parametrize("name", INNOCENT)
def test_the_innocent_lose_nothing(graded: Graded, name: str) -> None:
    report = graded.reports[name]
    assert (report.points, report.incidents, report.problems) == (100.0, (), ())
    assert support.plain(report) == support.plain(graded.alone[name])


def test_nothing_that_a_student_returned_holds_a_secret(graded: Graded) -> None:
    journal = graded.stage.journal.read_text(encoding="utf-8")
    assert journal
    assert graded.stage.prefix not in journal
    assert graded.stage.escaped not in journal


def test_the_class_pages_hold_no_secret(graded: Graded) -> None:
    for name in ("grades.csv", "index.html"):
        text = (graded.stage.root / "results" / name).read_text(encoding="utf-8")
        assert graded.stage.prefix not in text
        assert graded.stage.escaped not in text


def test_nobody_changed_what_is_not_theirs(graded: Graded) -> None:
    assert graded.changed == []


def test_the_results_folder_holds_results_only(graded: Graded) -> None:
    results = graded.stage.root / "results"
    slugs = {report.slug for report in graded.reports.values()}
    for folder in ("reports", "feedback", "staff"):
        assert {path.stem for path in (results / folder).iterdir()} == slugs
    known = {"reports", "feedback", "staff", "grades.csv", "index.html", "notes.txt"}
    known |= {"run.json", "run.lock"}
    assert {path.name for path in results.iterdir()} == known


def test_nothing_was_sent(graded: Graded) -> None:
    assert graded.stage.reached == []


def test_no_process_survives(graded: Graded) -> None:
    assert graded.survivors == []


def test_no_file_is_left(graded: Graded) -> None:
    assert graded.left == []


# ---- pages ---------------------------------------------------------------------------------------


def pages(graded: Graded) -> Iterator[tuple[str, str]]:
    """Name and text of every page that the batch wrote."""
    results = graded.stage.root / "results"
    for path in sorted((*results.rglob("*.html"), *results.rglob("*.txt"), results / "grades.csv")):
        if path.name != "notes.txt":
            yield str(path.relative_to(results)), path.read_text(encoding="utf-8")


def test_no_markup_of_a_student_is_live(graded: Graded) -> None:
    live = re.compile(
        r"<(script|img|svg/|iframe|b |testcase|!DOCTYPE x)|\son\w+\s*=\s*[\"']?alert",
        re.IGNORECASE,
    )
    wrong = {
        name: found.group()
        for name, text in pages(graded)
        if name.endswith(".html") and (found := live.search(outside_text(text.replace(OURS, ""))))
    }
    assert wrong == {}


OURS = f"<script>{(TEMPLATES / 'class.js').read_text('utf-8')}</script>"
"""The one script of the class page, allowed by its hash."""


def outside_text(page: str) -> str:
    """The tags of a page with their attributes: what a browser interprets."""
    return "".join(re.findall(r"<[^>]*>", page))


def test_no_page_holds_control_characters(graded: Graded) -> None:
    odd = re.compile(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
    )
    wrong = {name: found.group() for name, text in pages(graded) if (found := odd.search(text))}
    assert wrong == {}


def test_templates_are_not_evaluated(graded: Graded) -> None:
    assert [name for name, text in pages(graded) if str(90_001 * 90_001) in text] == []


def test_no_cell_is_a_formula(graded: Graded) -> None:
    text = (graded.stage.root / "results" / "grades.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()))
    assert len(rows) == len(graded.reports) + 1
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "\t"))] == []


def test_a_forged_line_is_not_a_line_of_the_report(graded: Graded) -> None:
    attack = next(each for each in ATTACKS if each.name == "reports__forged_report_lines")
    report = graded.report(attack)
    text = (graded.stage.root / "results" / "feedback" / f"{report.slug}.txt").read_text("utf-8")
    assert "100 of 100 points" not in text.splitlines()
    assert "80 of 100 points" in text.splitlines()


# ---- an ordinary user ----------------------------------------------------------------------------


def unreadable() -> str:
    """Why an ordinary user could not run this test's interpreter; empty if one can."""
    if os.geteuid() != 0:
        return "runs as an ordinary user already"
    closed = paths.closed_to_others((*paths.interpreter(), Path(sys.base_prefix, "bin"), ROOT))
    return f"{closed} is closed to other users" if closed else ""


@pytest.mark.skipif(bool(unreadable()), reason=unreadable())
def test_the_bank_holds_for_an_ordinary_user() -> None:
    """A part of the bank in a child process that is not root: other rules of the kernel apply."""
    names = "reading__ or process__ or resources__locked or resources__own or persistence__"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        __file__,
        "-k",
        names,
    ]
    environment = {**os.environ, "HOSTILE_ONLY": "1", "HOME": "/nonexistent"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:]
