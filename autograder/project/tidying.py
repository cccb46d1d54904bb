"""The trusted side of `autograder tidy`: a process of its own, which reads, asks and writes.

    python -m autograder.project.tidying < request > answer

The file is parsed, changed and run in a confined process; what that says is checked here. The
request is JSON with `model` and `target` (paths), `contracts` and `require_isolation`; the answer
is a `TidiedFile`, or {"error": one sentence}.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from autograder.engine.confined import Caps, ConfinedFailure, ConfinedProcess
from autograder.errors import AutograderError, SubmissionError
from autograder.files import write
from autograder.project import runner, worker_side
from autograder.project.card import read_bytes
from autograder.project.context import MEMORY_MB
from autograder.records.codec import rebuild
from autograder.records.tidied import TidiedFile
from autograder.text_safety import clean_line

MAX_BYTES = 200_000_000  # of a model with what lies beside it; the channel carries 256 MB
CAPS = Caps(300, 2 * MEMORY_MB)
_MAX_TEXT = 400


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        answer = asdict(tidy_file(request))
    except AutograderError as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


def tidy_file(request: dict[str, Any]) -> TidiedFile:
    """Tidy a model with the external data beside it, and write it if an entry may be so large.

    SubmissionError, in one sentence, if that cannot be done.
    """
    path = Path(request["model"])
    content = read_bytes(path, MAX_BYTES)
    with runner.sandbox(CAPS, request["require_isolation"]) as box, box.process() as process:
        try:
            beside = _beside(path, content, process)
            answer = process.call(worker_side.tidied, content, beside, request["contracts"])
        except ConfinedFailure as failure:
            reason = clean_line(str(failure), _MAX_TEXT)
            raise SubmissionError(f"{path}: the file could not be tidied: {reason}") from None
    report, tidied = _checked(path, answer)
    if tidied:
        write(Path(request["target"]), tidied)
    return replace(report, written=bool(tidied))


def _checked(path: Path, answer: object) -> tuple[TidiedFile, bytes]:
    """What the confined process says, if it has the right form."""
    fields = answer if isinstance(answer, dict) else {}
    if isinstance(fields.get("refusal"), str):
        raise SubmissionError(f"{path}: {clean_line(fields['refusal'], _MAX_TEXT)}")
    tidied = fields.pop("content", None)
    try:
        report = rebuild(TidiedFile, fields)
    except AutograderError:
        tidied = None
    if not isinstance(tidied, bytes | bytearray):
        raise SubmissionError(f"{path}: what came back is malformed")
    return report, bytes(tidied)


def _beside(path: Path, content: bytes, process: ConfinedProcess) -> dict[str, bytes]:
    """The files of external data, which have to lie beside the model."""
    answer = process.call(worker_side.outer_files, content)
    fields = answer if isinstance(answer, dict) else {}
    if isinstance(fields.get("refusal"), str):
        raise SubmissionError(f"{path}: {clean_line(fields['refusal'], _MAX_TEXT)}")
    names = fields.get("names")
    beside: dict[str, bytes] = {}
    for name in names if isinstance(names, list) else ():
        # A name is the file's word: it may not lead to another folder.
        if not isinstance(name, str) or not name or Path(name).name != name or "\\" in name:
            shown = clean_line(str(name), 60)
            raise SubmissionError(
                f"{path}: its external data lies in {shown!r}; it has to lie beside the model"
            )
        left = MAX_BYTES - len(content) - sum(map(len, beside.values()))
        missing = "there is no such file, and the model keeps its weights in it"
        beside[name] = read_bytes(path.with_name(name), left, missing)
    return beside


if __name__ == "__main__":
    main()
