"""Commands in groups have help with an example, and refuse in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli.app import app
from autograder.errors import AutograderError
from tests.support import ROOT

COMMANDS = ("export student-kit", "export gradescope", "export nbgrader", "nbgrader sync")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_a_group_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--help"])
    assert done.exit_code == 0
    assert f"Example: autograder {command}" in " ".join(done.output.split())


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("export")])
def test_an_export_writes_over_nothing(command: str, tmp_path: Path) -> None:
    target = tmp_path / "taken.zip"
    if command.endswith("nbgrader"):
        target = tmp_path
        (tmp_path / "file").touch()
    target.touch()
    session = ["s1"] if command.endswith("gradescope") else []
    course = ["--course", str(ROOT / "course.yaml")]
    done = CliRunner().invoke(app, [*command.split(), *session, str(target), *course])
    assert isinstance(done.exception, AutograderError)
    assert "already exists; remove it, or choose another name" in str(done.exception)
