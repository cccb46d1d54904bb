"""Scores one entry: measures the file, runs it, applies gate and costs, compares with the claim."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder.course import Dataset, DatasetName, FinalProject
from autograder.engine.job import Level
from autograder.errors import AutograderError, SubmissionError
from autograder.project import runner
from autograder.project.card import Card
from autograder.project.costs import counted, entry_costs, memorised, ratios
from autograder.project.perturb import perturb
from autograder.project.runner import Caps, Refused, Sandbox
from autograder.records.measurement import Answers, Claim, Score
from shared import data

BATCHES = (1, 7, 250)
MAX_DIFFERENT = 0.005  # share of images whose answer may change with the batch: rounding

Progress = Callable[[str], None]
Labels = NDArray[np.int64]


def read_model(path: Path, max_bytes: int) -> bytes:
    """The bytes of a model file; SubmissionError in one line if there are none, or too many."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise SubmissionError(f"{path}: there is no such file") from None
    except OSError as error:
        raise SubmissionError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > max_bytes:
        raise SubmissionError(f"{path}: more than {max_bytes:,} bytes")
    return content


def test_images(name: str) -> tuple[NDArray[np.uint8], Labels]:
    """Test images uint8 (N, C, H, W) and labels; AutograderError where the data is missing."""
    try:
        split = data.load(name).test
    except (data.DataMissing, data.DataDamaged) as error:
        raise AutograderError(str(error).splitlines()[0]) from None
    return split.images.numpy(), split.labels.numpy()


def score(
    content: bytes,
    card: Card,
    name: DatasetName,
    project: FinalProject,
    *,
    caps: Caps | None = None,
    require_isolation: Level = "process",
    seed: int | None = None,
    progress: Progress = lambda _: None,
) -> Score:
    """Score a model file for the data set `name`.

    A file that cannot be an entry gives a Score with its `refusal`; AutograderError is raised only
    for what is not the file's fault.
    """
    rules = project.datasets[name]
    if not project.admits(card.team):
        raise SubmissionError(f"team {card.team!r} is not one of this course's teams")
    images, labels = test_images(name)
    seed = secrets.randbits(31) if seed is None else seed
    fields: dict[str, Any] = {
        "team": card.team,
        "dataset": name,
        "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "kit_version": metadata.version("compression-course"),
        "file_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "method": card.method,
        "members": card.members,
        "base_revision": card.base_revision,
        "gate": rules.gate_correct,
        "claim": Claim(card.claimed_accuracy, card.claimed_cost),
    }
    with runner.sandbox(caps or Caps(), require_isolation) as box:
        try:
            progress("measuring")
            measured = runner.measure(box, content, rules.input_shape, rules.classes)
            fields["measurement"] = measured
            fields["costs"] = entry_costs(measured, rules, project)
            fields["ratios"] = ratios(measured, rules)
            progress("running")
            answers = _answers(box, content, name, rules, images, labels, seed)
            fields["answers"] = answers
            fields["counted"] = counted(answers, rules)
        except Refused as refusal:
            fields["refusal"] = str(refusal)
        level = box.isolation.level
    return Score(**fields, isolation=level)


def _answers(
    box: Sandbox,
    content: bytes,
    name: str,
    rules: Dataset,
    images: NDArray[np.uint8],
    labels: Labels,
    seed: int,
) -> Answers:
    started = time.monotonic()
    order = np.random.default_rng(seed).permutation(len(images))
    shuffled, wanted = images[order], labels[order]
    changed = perturb(shuffled, name, rules.pixel_max, seed)
    runs = [*((shuffled, batch) for batch in BATCHES), (changed, BATCHES[-1])]
    *each_size, again = runner.predictions(box, content, runs, rules.classes)
    found = dict(zip(BATCHES, each_size, strict=True))
    alone = found[BATCHES[0]]
    for batch, classes in found.items():
        if np.mean(classes != alone) > MAX_DIFFERENT:
            text = f"in a batch of {batch} it answers otherwise than for each image alone"
            raise Refused(f"an answer depends on the other images of the batch: {text}")
    answers = Answers(
        len(images),
        {batch: int(np.sum(each == wanted)) for batch, each in found.items()},
        int(np.sum(again == wanted)),
        seed,
        round(time.monotonic() - started, 2),
    )
    if reason := memorised(answers, rules):
        raise Refused(reason)
    return answers
