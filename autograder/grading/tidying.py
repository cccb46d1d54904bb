"""Asks the process that tidies files: it imports torch, which this one never does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from autograder.engine.job import Level
from autograder.errors import AutograderError, EngineError, SubmissionError
from autograder.records.codec import rebuild
from autograder.records.tidied import TidiedFile

Contracts = Sequence[tuple[tuple[int, ...], int]]
"""(input shape, classes) of each data set of the course."""


def tidy(model: Path, target: Path, contracts: Contracts, level: Level) -> TidiedFile:
    """Tidy a file into another one; SubmissionError, in one sentence, if that cannot be done."""
    request = {
        "model": str(model),
        "target": str(target),
        "contracts": [[list(shape), classes] for shape, classes in contracts],
        "require_isolation": level,
    }
    done = subprocess.run(
        [sys.executable, "-m", "autograder.project.tidying"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise SubmissionError(str(answer["error"]))
        return rebuild(TidiedFile, answer)
    except SubmissionError:
        raise
    except (ValueError, TypeError, AutograderError):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EngineError(f"the process that tidies failed: {last}") from None
