"""The hash manifest inside a packed submission: what a student submitted, byte for byte.

It tells a damaged or edited archive from the one that `submit` wrote. It proves nothing about
who packed it or when, so neither identity nor lateness is ever taken from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from autograder.submissions.identity import quoted

MANIFEST_NAME = "manifest.json"
MANIFEST_VERSION = 1


def write_manifest(
    session_id: str, kit_version: str, files: Mapping[str, bytes], created_at: datetime
) -> bytes:
    """The manifest of `files` (name -> bytes as packed) in JSON, the same for the same input."""
    content = {
        "schema_version": MANIFEST_VERSION,
        "session": session_id,
        "kit_version": kit_version,
        "created_at": created_at.astimezone(UTC).isoformat(timespec="seconds"),
        "files": [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(files.items())
        ],
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def verify_manifest(
    manifest: bytes, session_id: str, files: Mapping[str, bytes]
) -> tuple[str, ...]:
    """What in `manifest` disagrees with the files that came with it, one line each."""
    try:
        content = json.loads(manifest)
    except (ValueError, RecursionError):
        return (f"{MANIFEST_NAME} is not readable",)
    if not isinstance(content, dict) or content.get("schema_version") != MANIFEST_VERSION:
        return (f"{MANIFEST_NAME} has an unknown schema",)
    problems = []
    session = content.get("session")
    if session != session_id:
        shown = quoted(session) if isinstance(session, str) else "no session"
        problems.append(f"{MANIFEST_NAME} was packed for {shown}, not for '{session_id}'")
    declared = _declared_hashes(content.get("files"))
    if declared is None:
        return (*problems, f"{MANIFEST_NAME} lists no files")
    actual = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    for name in sorted(declared.keys() | actual.keys()):
        if name not in actual:
            problems.append(f"{quoted(name)} is in {MANIFEST_NAME} but not in the submission")
        elif name not in declared:
            problems.append(f"{quoted(name)} is not in {MANIFEST_NAME}")
        elif declared[name] != actual[name]:
            problems.append(f"{quoted(name)} is not the file that {MANIFEST_NAME} describes")
    return tuple(problems)


def _declared_hashes(rows: object) -> dict[str, str] | None:
    """Name -> SHA-256 of a manifest's file list; None if it is not such a list."""
    if not isinstance(rows, list):
        return None
    hashes: dict[str, str] = {}
    for row in rows:
        if not isinstance(row, dict):
            return None
        name, digest = row.get("name"), row.get("sha256")
        if not isinstance(name, str) or not isinstance(digest, str):
            return None
        hashes[name] = digest
    return hashes
