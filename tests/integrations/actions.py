"""GitHub's runner as far as our workflows use it, to run their steps here one by one.

What it takes for a command of its own follows the runner's source (ActionCommand.cs): a line that
begins with `::` after white space, or that holds `##[` anywhere, unless commands are stopped.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Step = dict[str, Any]


@dataclass(frozen=True)
class Command:
    """A command that the runner obeys."""

    name: str
    properties: Mapping[str, str]
    message: str


@dataclass
class Runner:
    """One job of a workflow, in a checkout. `contexts` holds `github.ref` and the like."""

    workflow: Path
    checkout: Path
    temp: Path
    contexts: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    output: str = ""

    @property
    def tree(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load(self.workflow.read_text("utf-8"))
        return loaded

    @property
    def steps(self) -> list[Step]:
        (job,) = self.tree["jobs"].values()
        steps: list[Step] = job["steps"]
        return steps

    def value(self, text: str) -> str:
        """An expression's value; those that are no plain name are none of our workflows'."""

        def look_up(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith(("vars.", "secrets.")):
                return self.contexts.get(name, "")
            return self.contexts[name]

        return re.sub(r"\$\{\{ ([a-z_.A-Z]+) \}\}", look_up, str(text))

    def run(self, step: Step, status: int = 0) -> str:
        """Run one step's script as the runner does; what it printed."""
        self.temp.mkdir(exist_ok=True)
        script, files = self.temp / "step.sh", {}
        script.write_text(self.value(step["run"]))
        for name in ("OUTPUT", "STEP_SUMMARY", "ENV"):
            files[f"GITHUB_{name}"] = self.temp / name.lower()
            files[f"GITHUB_{name}"].write_text("")
        given = {key: self.value(text) for key, text in (step.get("env") or {}).items()}
        done = subprocess.run(
            ["bash", "-e", str(script)],
            cwd=self.checkout,
            env={
                **os.environ,
                "GITHUB_WORKSPACE": str(self.checkout),
                "GITHUB_ACTIONS": "true",
                **{name: str(path) for name, path in files.items()},
                **self.environment,
                **given,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, f"{step.get('name')}: {done.stdout}\n{done.stderr}"
        for line in files["GITHUB_OUTPUT"].read_text().splitlines():
            name, _, value = line.partition("=")
            self.contexts[f"steps.{step['id']}.outputs.{name}"] = value
        assert files["GITHUB_ENV"].read_text() == ""
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        self.output += done.stdout
        return done.stdout


def commands(output: str) -> list[Command]:
    """What the runner obeys in a step's output."""
    found, token = [], ""
    for line in output.split("\n"):
        text = line.strip()
        if token:
            token = "" if text == f"::{token}::" else token
            continue
        if text.startswith("::") and (match := re.match(r"::([^ :]+)(?: (.*?))?::(.*)$", text)):
            name, properties, message = match[1], match[2] or "", match[3]
            if name == "stop-commands":
                token = message
            else:
                pairs = (pair.partition("=") for pair in properties.split(",") if pair)
                values = {key: _unescape(value, True) for key, _, value in pairs}
                found.append(Command(name, values, _unescape(message, False)))
        elif "##[" in line:
            found.append(Command("##", {}, line))
    return found


def _unescape(text: str, is_property: bool) -> str:
    pairs = [("%0D", "\r"), ("%0A", "\n")]
    pairs += [("%3A", ":"), ("%2C", ",")] if is_property else []
    for escaped, char in pairs:
        text = text.replace(escaped, char)
    return text.replace("%25", "%")
