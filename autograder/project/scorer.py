"""Scores one entry: measures the file, runs it, applies gate and costs, compares with the claim."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from autograder.course import DatasetName, DatasetRules, FinalProject
from autograder.engine.job import Level
from autograder.engine.judge.workers import Workers
from autograder.errors import AutograderError
from autograder.project import runner
from autograder.project.card import Card
from autograder.project.costs import effective_correct, entry_costs, memorized, ratios
from autograder.project.perturb import perturb
from autograder.project.runner import Caps, EntryRefused, Sandbox
from autograder.records import Isolation, Usage
from autograder.records.measurement import Answers, Claim, Score
from shared import data

BATCHES = (1, 7, 250)
DRAWS = 3  # of perturbed test images; their mean counts
PUBLIC_KEY = b"draws of every machine that does not know the course's secret"
RULES_VERSION = b"perturbation 1"  # part of the seed: changes with perturb.py
MAX_DIFFERENT = 0.005  # share of images whose answer may change with the batch: rounding

Progress = Callable[[str], None]
Labels = NDArray[np.int64]


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
    workers: Workers | None = None,
    caps: Caps | None = None,
    require_isolation: Level = "process",
    secret: bytes = b"",
    progress: Progress = lambda _: None,
) -> tuple[Score, Isolation, Usage]:
    """Score a model file for the data set `name`; also says how it was confined, at what cost.

    The verdict is a function of the file's bytes and of `secret` (empty: the public draws, as on a
    student's machine): the same file always meets the same perturbed images, and a file that was
    changed for luck meets others. Confined processes come from `workers` (`runner.sandbox`).

    A file that cannot be an entry gives a Score with its `refusal`; AutograderError is raised only
    for what is not the file's fault.
    """
    tests = _tests(name, project.datasets[name])
    score = _unmeasured(content, card, tests)
    with runner.sandbox(caps or Caps(), require_isolation, workers) as box:
        try:
            progress("measuring")
            measured = runner.measure(box, content, tests.rules.input_shape, tests.rules.classes)
            score = replace(
                score,
                measurement=measured,
                costs=entry_costs(measured, tests.rules, project),
                ratios=ratios(measured, tests.rules),
            )
            progress("running")
            answers = _answers(box, content, tests, secret)
            score = replace(score, answers=answers, counted=effective_correct(answers, tests.rules))
        except EntryRefused as refusal:
            score = replace(score, refusal=str(refusal))
        return score, box.isolation, box.usage


@dataclass(frozen=True)
class _Tests:
    """Test images uint8 (N, C, H, W) and labels of a data set, and the course's rules for it."""

    name: DatasetName
    rules: DatasetRules
    images: NDArray[np.uint8]
    labels: Labels


def _tests(name: DatasetName, rules: DatasetRules) -> _Tests:
    return _Tests(name, rules, *test_images(name))


def _unmeasured(content: bytes, card: Card, tests: _Tests) -> Score:
    """Whose entry it is, of which file, and what the card says of it."""
    return Score(
        team=card.team,
        dataset=tests.name,
        scored_at=datetime.now(UTC).isoformat(timespec="seconds"),
        sha256=hashlib.sha256(content).hexdigest(),
        file_bytes=len(content),
        method=card.method,
        members=card.members,
        base_revision=card.base_revision,
        gate=tests.rules.gate_correct,
        claim=Claim(card.claimed_accuracy, card.claimed_cost),
    )


def draw_seeds(content: bytes, secret: bytes) -> list[int]:
    """The seeds of the draws for a file: nobody without `secret` can tell them in advance."""
    message = hashlib.sha256(content).digest() + RULES_VERSION
    key = secret or PUBLIC_KEY
    digests = (hmac.digest(key, message + bytes([draw]), "sha256") for draw in range(DRAWS))
    return [int.from_bytes(digest[:4], "big") for digest in digests]


def _answers(box: Sandbox, content: bytes, tests: _Tests, secret: bytes) -> Answers:
    started = time.monotonic()
    seeds = draw_seeds(content, secret)
    order = np.random.default_rng(seeds[0]).permutation(len(tests.images))
    shuffled, expected = tests.images[order], tests.labels[order]
    rules = tests.rules
    runs = [
        *((shuffled, batch) for batch in BATCHES),
        *((perturb(shuffled, tests.name, rules.pixel_max, s), BATCHES[-1]) for s in seeds),
    ]
    predicted = runner.predictions(box, content, runs, rules.classes)
    by_batch = dict(zip(BATCHES, predicted, strict=False))
    alone = by_batch[BATCHES[0]]
    for batch, classes in by_batch.items():
        if np.mean(classes != alone) > MAX_DIFFERENT:
            raise EntryRefused(
                f"predictions at batch size {batch} differ from those for each image alone: "
                "an answer may not depend on the other images of the batch"
            )
    answers = Answers(
        images=len(tests.images),
        by_batch={batch: int(np.sum(c == expected)) for batch, c in by_batch.items()},
        perturbed=tuple(int(np.sum(c == expected)) for c in predicted[len(BATCHES) :]),
        draws="course" if secret else "public",
        seconds=round(time.monotonic() - started, 2),
    )
    if reason := memorized(answers, rules):
        raise EntryRefused(reason)
    return answers
