"""Gradescope's "Export submissions": `submission_123456/…` with submission_metadata.yml.

The metadata names the submitters (name, sid, e-mail; several for a group) and the time. Its keys
are Ruby's symbols (`:submitters:`), which are read with and without their colons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import yaml

from autograder.errors import SubmissionError
from autograder.submissions.collect.candidate import (
    Candidate,
    Claimed,
    DownloadFolder,
    Layout,
    Part,
    utc,
)
from autograder.submissions.identity import quoted

METADATA = "submission_metadata.yml"
_MAX_BYTES = 64_000_000
_FOLDER = re.compile(r"submission_(?P<number>\d+)")
_FRACTION = re.compile(r"(\.\d{6})\d+")


def claim(top: DownloadFolder) -> Claimed:
    """One candidate per submitter of each folder; SubmissionError for damaged metadata."""
    folders = _folders(top)
    if METADATA not in top.names():
        return Claimed()
    metadata = _read(top)
    candidates, lines = [], []
    for folder in sorted(folders):
        facts = metadata.get(folder)
        submitters = list(_submitters(facts))
        if not submitters:
            lines.append(f"{quoted(folder)}: {METADATA} names no submitter of it; go by its number")
            submitters = [{"name": folder}]
        candidates += [_candidate(top, folder, facts, each, submitters) for each in submitters]
    for name in sorted(metadata.keys() - folders):
        lines.append(f"{METADATA} lists {quoted(name)}, but there is no such folder")
    return Claimed(tuple(candidates), frozenset({*folders, METADATA}), tuple(lines))


def _folders(top: DownloadFolder) -> set[str]:
    return {e.name for e in top.entries if e.is_folder and _FOLDER.fullmatch(e.name)}


def _read(top: DownloadFolder) -> Mapping[str, Any]:
    """The metadata with all values as text."""
    try:
        text = top.listing.file(top.path(METADATA), _MAX_BYTES).decode("utf-8-sig")
        loaded = yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise SubmissionError(f"{METADATA} is not readable YAML{where}; export again") from None
    except (SubmissionError, OSError) as error:
        raise SubmissionError(f"{METADATA} cannot be read: {error}") from None
    if not isinstance(loaded, dict):
        raise SubmissionError(f"{METADATA}: expected a mapping of submissions; export again")
    return {str(name): value for name, value in loaded.items()}


def _value(facts: object, key: str) -> Any:
    """A value under a key, with or without Ruby's colon."""
    if not isinstance(facts, dict):
        return None
    return facts.get(f":{key}", facts.get(key))


def _submitters(facts: object) -> Iterator[dict[str, str]]:
    submitters = _value(facts, "submitters")
    for each in submitters if isinstance(submitters, list) else ():
        found = {key: _value(each, key) for key in ("name", "sid", "email")}
        person = {key: value.strip() for key, value in found.items() if isinstance(value, str)}
        if any(person.values()):
            yield person


def _candidate(
    top: DownloadFolder, folder: str, facts: object, person: dict[str, str], all_of_it: list[Any]
) -> Candidate:
    name = person.get("name") or person.get("email") or person["sid"]
    platform_id = person.get("sid") or person.get("email", "")
    moment, note = _time(facts)
    history = _value(facts, "history")
    earlier = len(history) if isinstance(history, list) else 0
    notes = [note] if note else []
    if earlier:
        notes.append(f"the last of {earlier + 1} attempts; Gradescope exports no other")
    return Candidate(
        raw=f"{name} {platform_id}".strip(),
        name=name,
        shown=quoted(f"{folder}/"),
        parts=(Part(top.path(folder), is_folder=True),),
        platform_id=platform_id,
        attempt=earlier + 1 if earlier else None,
        submitted_at=moment,
        order=(_seconds(moment), int(folder.partition("_")[2][:18])),
        download=f"{folder}/",
        email=person.get("email", ""),
        group=folder if len(all_of_it) > 1 else "",
        notes=tuple(notes),
    )


def _time(facts: object) -> tuple[str | None, str]:
    """`2027-01-25 22:59:00.123456789 Z` in ISO 8601, and a line if it is no time."""
    text = _value(facts, "created_at")
    if not isinstance(text, str) or not text:
        return None, "no time of submission in the metadata"
    plain = _FRACTION.sub(r"\1", text.strip()).replace(" Z", "Z").replace(" UTC", "Z")
    plain = re.sub(r" (?=[+-]\d)", "", plain)
    try:
        return utc(datetime.fromisoformat(plain)), ""
    except ValueError:
        return None, f"the time of submission {quoted(text)} in the metadata cannot be read"


def _seconds(moment: str | None) -> float:
    """To compare times of several zones; one that is not known comes first."""
    return -math.inf if moment is None else datetime.fromisoformat(moment).timestamp()


def _students(top: DownloadFolder) -> int:
    """Its folders: how many submitted each is in the metadata, which nobody has checked yet."""
    return len(_folders(top)) if METADATA in top.names() else 0


LAYOUT = Layout(
    "gradescope",
    "Gradescope's export",
    f"submission_123456 beside {METADATA}",
    claim,
    _students,
)
