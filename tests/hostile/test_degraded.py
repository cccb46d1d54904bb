"""Reading, forging and reaching into the kernel on a machine without Landlock.

What gets through there is a table in docs/security.md, for root and for an ordinary user; the bank
must agree with it in both directions.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from autograder.engine.sandbox import paths
from autograder.submissions import identity
from tests.hostile import support
from tests.hostile.test_hostile import unreadable
from tests.support import ROOT, exercise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the bank attacks Linux"),
]

LINES = ("Reading", "Forging", "Process")
ATTACKS = {attack.name: attack for attack in support.attacks() if attack.line in LINES}
COLUMNS = ("root", "ordinary user")
ME = COLUMNS[0] if os.geteuid() == 0 else COLUMNS[1]


def documented() -> dict[str, set[str]]:
    """The attacks that docs/security.md calls open without Landlock, by column."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.partition("## Without Landlock")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {column: set() for column in COLUMNS}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        names = re.findall(r"`(\w+__\w+)`", cells[0])
        for column, cell in zip(COLUMNS, cells[1:], strict=False):
            if cell == "open":
                found[column].update(names)
    return found


def unsafe() -> str:
    """Why the attacks must not run here: they would reach what belongs to whoever tests.

    Root has to give its workers users of their own, and an ordinary user must own neither the
    libraries nor the project. Empty if it is safe.
    """
    readable = (*paths.interpreter(), ROOT)
    if os.geteuid() == 0:
        found = paths.closed_to_others(readable)
        return f"{found} is closed to other users, so workers would be root" if found else ""
    own = [path for path in readable if os.access(path, os.W_OK)]
    return f"{own[0]} can be written by this user, and so by the attacks" if own else ""


needs_users = pytest.mark.skipif(bool(unsafe()), reason=unsafe())


@pytest.fixture(scope="module")
def through() -> dict[str, str]:
    """Each attack that succeeds without Landlock, and how it shows."""
    return {name: how for line in LINES for name, how in succeeding(line).items()}


def succeeding(line: str) -> dict[str, str]:
    """Those of one line, graded on a stage of their own: some remove what others look for."""
    attacks = [attack for attack in ATTACKS.values() if attack.line == line]
    found = {}
    with support.stage() as stage, support.listening(stage):
        stage.submit_innocents()
        for attack in attacks:
            stage.submit(attack)
        reports = stage.grade(jobs=1, without=["landlock"])
        by_slug = {report.slug: report for report in reports.values()}
        for attack in attacks:
            report = by_slug[identity.slug(attack.folder)]
            earned = sum(exercise(report, one).points for one in attack.attacks)
            text = stage.texts(report)
            learned = [place for place, secret in stage.canaries.items() if secret in text]
            if earned > attack.points or learned or stage.escaped in text:
                escaped = text[text.find(stage.escaped) :][:200] if stage.escaped in text else ""
                found[attack.name] = f"earned {earned}, learned {learned}, reached {escaped!r}"
    return found


def test_the_table_names_attacks_of_the_bank() -> None:
    assert documented()["root"] | documented()["ordinary user"] <= ATTACKS.keys()


def test_an_attack_that_gets_through_needs_landlock() -> None:
    for names in documented().values():
        assert [name for name in names if "landlock" not in ATTACKS[name].needs] == []


@needs_users
def test_what_gets_through_is_in_the_table(through: dict[str, str]) -> None:
    new = {name: how for name, how in through.items() if name not in documented()[ME]}
    assert not new, "\n".join(f"{name}: {how}" for name, how in new.items())


@needs_users
def test_what_is_in_the_table_gets_through(through: dict[str, str]) -> None:
    assert documented()[ME] - through.keys() == set()


@pytest.mark.skipif(bool(unreadable()), reason=unreadable())
def test_the_table_holds_for_an_ordinary_user() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", __file__]
    done = subprocess.run(
        [*command, "-k", "not ordinary_user"],
        cwd=ROOT,
        env={**os.environ, "HOME": "/nonexistent"},
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
