"""What is remembered of mutants: verdicts, so that a run resumes, and marks that a person made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.common import ROOT
from benchmarks.mutation.mutants import Key, Mutant

CACHE = ROOT / ".cache" / "mutation.jsonl"
EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
ANY = "*"  # as `after` of a mark: whatever this line becomes
Verdict = Literal["caught", "survived"]


def fingerprint(*parts: str) -> str:
    """One name for everything that a verdict depends on."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class Verdicts:
    """Verdicts by fingerprint, in a file to which a line is added for each."""

    def __init__(self, path: Path = CACHE) -> None:
        self._path = path
        self._known: dict[str, Verdict] = {}
        if path.is_file():
            for line in path.read_text("utf-8").splitlines():
                try:
                    name, verdict = json.loads(line)
                except ValueError:  # a run was killed while it wrote
                    continue
                self._known[name] = verdict

    def get(self, name: str) -> Verdict | None:
        """The verdict of an earlier run."""
        return self._known.get(name)

    def add(self, name: str, verdict: Verdict) -> None:
        """Remember a verdict at once."""
        self._known[name] = verdict
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, verdict]) + "\n")


def read_marks(path: Path = EQUIVALENT) -> dict[Key, str]:
    """Mutants that do not differ from the original in any result, each with why.

    A list of mappings with `where`, `before`, `after`, `why` and, unless it is 1, `occurrence`. An
    `after` of "*" marks every change of the line: what it computes is the student's choice.
    ValueError names the entry that is none, is there twice or gives no reason.
    """
    entries: list[Mapping[str, Any]] = yaml.safe_load(path.read_text("utf-8")) or []
    marks: dict[Key, str] = {}
    for number, entry in enumerate(entries, start=1):
        try:
            fields = dict(entry)
            why = str(fields.pop("why")).strip()
            key = Key(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: entry {number} is no mark: {error}") from None
        if not why or key in marks:
            fault = "is there twice" if key in marks else "says no why"
            raise ValueError(f"{path}: entry {number} {fault}: {key.before} -> {key.after}")
        marks[key] = why
    return marks


def is_marked(key: Key, marks: Mapping[Key, str]) -> bool:
    """Whether a person marked this mutant, or every change of its line."""
    return key in marks or _of_line(key) in marks


def _of_line(key: Key) -> Key:
    return replace(key, after=ANY, occurrence=1)


def stale(marks: Iterable[Key], every: Iterable[Mutant]) -> list[Key]:
    """Marks of the places that these mutants are of, for changes that cannot be made any more."""
    keys = {mutant.key for mutant in every}
    places = {key.where for key in keys}
    possible = keys | {_of_line(key) for key in keys}
    return [key for key in marks if key.where in places and key not in possible]
