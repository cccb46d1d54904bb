"""Score records as files: written whole, read with suspicion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from autograder.course import FinalProject
from autograder.files import writable_folder, write
from autograder.project import strict
from autograder.project.costs import under_rules
from autograder.records.measurement import Score
from autograder.reports.score import markdown

SCHEMA_VERSION = 1
MAX_RECORD_BYTES = 64_000_000  # of a graph with as many nodes as there may be


def to_json(score: Score) -> str:
    """The record of a score, one JSON object; see docs/scoring.md."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(score)}, indent=1) + "\n"


def from_json(text: str) -> Score:
    """Read a record back; strict.Malformed if anything is missing, unknown or of another type."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise strict.Malformed("not JSON") from None
    if not isinstance(value, dict) or value.pop("schema_version", None) != SCHEMA_VERSION:
        raise strict.Malformed(f"not a score record of version {SCHEMA_VERSION}")
    return strict.record(Score, value)


def keep(score: Score, folder: Path) -> Path:
    """Write a record and its page into a folder, each whole or not at all; returns the record.

    The name holds team, file and time, so that a folder keeps a team's history.
    """
    writable_folder(folder)
    moment = "".join(char for char in score.scored_at[:19] if char.isdigit())
    record = folder / f"{score.team}-{moment}-{score.sha256[:8]}.json"
    for path, text in ((record.with_suffix(".md"), markdown(score)), (record, to_json(score))):
        write(path, text)
    return record


def load(folder: Path, project: FinalProject) -> Iterator[tuple[Path, Score | str]]:
    """Every record in a folder under the course's rules, or why a file is not one, by name."""
    for path in sorted(folder.glob("*.json")):
        try:
            with path.open("rb") as file:
                data = file.read(MAX_RECORD_BYTES + 1)
            if len(data) > MAX_RECORD_BYTES:
                raise strict.Malformed(f"more than {MAX_RECORD_BYTES:,} bytes")
            yield path, under_rules(from_json(data.decode("utf-8")), project)
        except OSError as error:
            yield path, f"cannot be read ({error.strerror})"
        except UnicodeDecodeError:
            yield path, "not a score record: not UTF-8"
        except ValueError as error:
            yield path, f"not a score record: {error}"
