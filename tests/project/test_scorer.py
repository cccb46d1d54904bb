"""How answers become a score, with a network that is a function here: no sandbox, no file."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from autograder.course import FinalProject
from autograder.errors import AutograderError
from autograder.project import runner, scorer
from autograder.project.card import Card
from autograder.project.costs import entry_costs, ratios
from autograder.project.perturb import perturb
from autograder.project.runner import Caps, EntryRefused
from autograder.records import Isolation, Usage
from autograder.records.measurement import Measurement, Score
from shared import data
from tests import bank
from tests.records.test_measurement import LAYER

IMAGES = 400
CARD = Card(
    team="team-1",
    members=("Ada",),
    method="none",
    base_revision="v1",
    claimed_accuracy=0.9,
    claimed_cost=0.1,
)
CONTENT = b"a network"
MEASURED = Measurement(len(CONTENT), "", 21, (LAYER,))
Network = Callable[[NDArray[np.uint8], int], NDArray[np.int64]]


def project(**rules: Any) -> FinalProject:
    """The course's, whose digits are 400 images of which all but 20 have to be right."""
    made = bank.course().final_project
    assert made is not None
    changes = {"test_images": IMAGES, "gate_correct": IMAGES - 20, "perturbation_drop": 0.0}
    digits = made.datasets["digits"].model_copy(update=changes | rules)
    return made.model_copy(update={"datasets": {**made.datasets, "digits": digits}})


class Box:
    """A sandbox that confines nothing."""

    isolation = Isolation("partial")
    usage = Usage(student_seconds=2.0, peak_memory_bytes=5, workers=2)


BOX = Box()


class World:
    """Images whose label stands in their first pixel, and who was asked what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        drawn = np.random.default_rng(0)
        self.images = drawn.integers(0, 17, (IMAGES, 1, 8, 8)).astype(np.uint8)
        self.labels = drawn.integers(0, 10, IMAGES).astype(np.int64)
        self.images[:, 0, 0, 0] = self.labels
        self.images[:, 0, 7, 7] = np.arange(IMAGES) // 17 % 17
        self.network: Network = lambda images, _: self.right(images)
        self.runs: list[tuple[NDArray[np.uint8], int]] = []
        self.stages: list[str] = []
        self.measure: Callable[[], Measurement] = lambda: MEASURED
        monkeypatch.setattr(scorer, "test_images", lambda _: (self.images, self.labels))
        # The changes of images have tests of their own; these say which draw it was.
        monkeypatch.setattr(scorer, "perturb", self.perturb)
        monkeypatch.setattr(runner, "sandbox", self.sandbox)
        monkeypatch.setattr(runner, "measure", self.measured)
        monkeypatch.setattr(runner, "predictions", self.predictions)
        self.draws: list[tuple[str, int, int]] = []

    @staticmethod
    def right(images: NDArray[np.uint8]) -> NDArray[np.int64]:
        return images[:, 0, 0, 0].astype(np.int64)

    def perturb(
        self, images: NDArray[np.uint8], name: str, most: int, seed: int
    ) -> NDArray[np.uint8]:
        self.draws.append((name, most, seed))
        changed = images.copy()
        changed[:, 0, 0, 1] = 100 + len(self.draws)  # which no image has
        return changed

    @contextmanager
    def sandbox(self, *options: object) -> Iterator[Any]:
        self.options = options
        yield BOX

    def measured(
        self, box: object, content: bytes, shape: tuple[int, ...], classes: int
    ) -> Measurement:
        assert (box, content, shape, classes) == (BOX, CONTENT, (1, 8, 8), 10)
        return self.measure()

    def predictions(
        self, box: object, content: bytes, runs: list[tuple[NDArray[np.uint8], int]], classes: int
    ) -> list[NDArray[np.int64]]:
        assert (box, content, classes) == (BOX, CONTENT, 10)
        self.runs = runs
        return [self.network(images, batch) for images, batch in runs]

    def score(self, secret: bytes = b"", **rules: Any) -> Score:
        made, isolation, usage = scorer.score(
            CONTENT,
            CARD,
            "digits",
            project(**rules),
            secret=secret,
            progress=self.stages.append,
        )
        assert (isolation, usage) == (Box.isolation, Box.usage)
        return made


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def wrong(count: int, batch: int | None = None, draw: int | None = None) -> Network:
    """The first `count` answers are wrong at one batch size, or in one draw (0: unchanged)."""

    def network(images: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
        answers = World.right(images)
        this = max(0, int(images[0, 0, 0, 1]) - 100)
        if (batch is None or size == batch) and (draw is None or this == draw):
            answers[:count] = 11
        return answers

    return network


# ---- a score -------------------------------------------------------------------------------------


def test_a_network_that_is_always_right(world: World) -> None:
    made = world.score()
    assert made.answers is not None
    assert made.answers.by_batch == {1: IMAGES, 7: IMAGES, 250: IMAGES}
    assert made.answers.perturbed == (IMAGES,) * 3
    assert made.answers.images == IMAGES
    assert (made.counted, made.gate, made.valid) == (IMAGES, IMAGES - 20, True)
    assert world.stages == ["measuring", "running"]


def test_what_a_score_says_of_the_entry(world: World) -> None:
    made, rules = world.score(), project().datasets["digits"]
    assert (made.members, made.base_revision) == (("Ada",), "v1")
    assert (made.team, made.dataset, made.method, made.file_bytes) == (
        "team-1",
        "digits",
        "none",
        9,
    )
    assert made.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert (made.claim.accuracy, made.claim.cost) == (0.9, 0.1)
    assert made.scored_at.endswith("+00:00")
    assert len(made.scored_at) == len("2027-04-01T10:00:00+00:00")
    assert made.measurement == MEASURED
    assert made.costs == entry_costs(MEASURED, rules, project())
    assert made.ratios == ratios(MEASURED, rules)


def test_images_are_shuffled_with_their_labels(world: World) -> None:
    world.score()
    shuffled = world.runs[0][0]
    order = np.random.default_rng(scorer.draw_seeds(CONTENT, b"")[0]).permutation(IMAGES)
    assert not np.array_equal(shuffled, world.images)
    assert np.array_equal(shuffled, world.images[order])


def test_each_batch_size_and_each_draw_is_run_once(world: World) -> None:
    world.score(secret=b"key", pixel_max=16)
    assert [batch for _, batch in world.runs] == [1, 7, 250, 250, 250, 250]
    assert {images[0, 0, 0, 1] for images, _ in world.runs[3:]} == {101, 102, 103}
    assert world.draws == [("digits", 16, seed) for seed in scorer.draw_seeds(CONTENT, b"key")]


@pytest.mark.parametrize(("secret", "draws"), [(b"", "public"), (b"key", "course")])
def test_a_score_says_whose_draws_they_were(world: World, secret: bytes, draws: str) -> None:
    made = world.score(secret=secret)
    assert made.answers is not None
    assert made.answers.draws == draws
    assert 0 <= made.answers.seconds < 60
    assert made.answers.seconds == round(made.answers.seconds, 2)


@pytest.mark.parametrize(("count", "counted"), [(0, 400), (20, 380), (21, 379)])
def test_wrong_answers_do_not_count(world: World, count: int, counted: int) -> None:
    world.network = wrong(count)
    made = world.score()
    assert (made.counted, made.valid, made.refusal) == (counted, counted >= 380, "")


def test_the_worst_batch_size_counts(world: World) -> None:
    world.network = wrong(2, batch=7)
    made = world.score()
    assert made.answers is not None
    assert made.answers.by_batch == {1: 400, 7: 398, 250: 400}
    assert made.counted == 398


def test_the_mean_of_the_draws_counts(world: World) -> None:
    world.network = wrong(9, draw=2)
    made = world.score()
    assert made.answers is not None
    assert made.answers.perturbed == (400, 391, 400)
    assert made.counted == 397


@pytest.mark.parametrize("batch", [1, 7, 250])
def test_answers_may_hardly_depend_on_the_batch(world: World, batch: int) -> None:
    """Two of 400 images are half a percent."""
    world.network = wrong(2, batch=batch, draw=0)
    assert world.score().refusal == ""
    world.network = wrong(3, batch=batch, draw=0)
    made = world.score()
    named = 7 if batch == 1 else batch
    assert made.refusal.startswith(f"predictions at batch size {named} differ from those for each")
    assert (made.answers, made.counted, made.valid) == (None, 0, False)


def test_memorized_images_are_refused(world: World) -> None:
    def network(images: NDArray[np.uint8], size: int) -> NDArray[np.int64]:
        is_changed = images[0, 0, 0, 1] > 100
        return wrong(21)(images, size) if is_changed else World.right(images)

    world.network = network
    made = world.score()
    assert "memorised" in made.refusal
    assert (made.answers, made.counted, made.measurement) == (None, 0, MEASURED)
    assert world.score(perturbation_drop=0.01).refusal == ""


def test_a_file_that_cannot_be_measured_is_not_run(world: World) -> None:
    def refuse() -> Measurement:
        raise EntryRefused("the graph has a loop")

    world.measure = refuse
    made = world.score()
    assert made.refusal == "the graph has a loop"
    assert (made.measurement, made.answers, made.costs, made.counted) == (None, None, {}, 0)
    assert (world.stages, world.runs) == (["measuring"], [])
    assert made.gate == 380


def test_what_is_not_the_file_s_fault_is_an_error(world: World) -> None:
    def fail() -> Measurement:
        raise AutograderError("no sandbox")

    world.measure = fail
    with pytest.raises(AutograderError, match="no sandbox"):
        world.score()


def test_the_sandbox_is_the_one_that_was_asked_for(world: World) -> None:
    world.score()
    assert world.options == (Caps(), "process", None)
    caps, workers = Caps(seconds=7), object()
    scorer.score(
        CONTENT,
        CARD,
        "digits",
        project(),
        caps=caps,
        workers=workers,  # type: ignore[arg-type]
        require_isolation="strict",
    )
    assert world.options == (caps, "strict", workers)


def test_numbers_of_a_record_are_plain_and_seconds_have_two_digits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 11.23456])
    monkeypatch.setattr(scorer, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    answers = world.score().answers
    assert answers is not None
    numbers = [*answers.by_batch.values(), *answers.perturbed]
    assert {type(value) for value in numbers} == {int}
    assert answers.seconds == 1.23


# ---- images and seeds ----------------------------------------------------------------------------


def test_the_test_images_are_those_of_the_data_set() -> None:
    images, labels = scorer.test_images("digits")
    split = data.load("digits").test
    assert (images.dtype, labels.dtype, len(images)) == (np.uint8, np.int64, 360)
    assert np.array_equal(images, split.images.numpy())
    assert np.array_equal(labels, split.labels.numpy())


@pytest.mark.parametrize("kind", [data.DataMissing, data.DataDamaged])
def test_missing_data_is_one_line(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    def load(_: str) -> None:
        raise kind("no cifar10 here\ndownload it")

    monkeypatch.setattr(data, "load", load)
    with pytest.raises(AutograderError, match=r"^no cifar10 here$"):
        scorer.test_images("cifar10")


@pytest.mark.parametrize("kind", ["Conv", "Reverse", "", "[red]Conv", "Conv|<b>\x1b[2J"])
def test_a_measurement_holds_operators_of_the_language_and_no_other_text(kind: str) -> None:
    """Tables of a pull request and a terminal show them: a process that was taken over may not."""
    answer = {"opset": 21, "layers": [asdict(replace(LAYER, kind=kind))]}
    process: Any = SimpleNamespace(call=lambda *_: answer)
    box: Any = SimpleNamespace(process=lambda _: nullcontext(process))
    if kind == "Conv":
        assert runner.measure(box, b"", (1, 8, 8), 10).layers == (LAYER,)
        return
    with pytest.raises(EntryRefused, match="malformed"):
        runner.measure(box, b"", (1, 8, 8), 10)


def test_the_constants_that_decide() -> None:
    """Documented in docs/scoring.md; a change makes old scores incomparable."""
    assert (scorer.BATCHES, scorer.DRAWS, scorer.MAX_DIFFERENT) == ((1, 7, 250), 3, 0.005)


def test_the_seeds_are_these() -> None:
    """Keyed with the secret, over the file's hash and the version: computed here step by step."""

    for secret, key in ((b"key", b"key"), (b"", scorer.PUBLIC_KEY)):
        message = hashlib.sha256(CONTENT).digest() + b"perturbation 1"
        expected = [
            int(hmac.new(key, message + bytes([draw]), "sha256").hexdigest()[:8], 16)
            for draw in (0, 1, 2)
        ]
        assert scorer.draw_seeds(CONTENT, secret) == expected


def test_a_seed_is_one_of_torch_s(world: World) -> None:
    for seed in scorer.draw_seeds(CONTENT, b"key"):
        assert perturb(world.images[:2], "digits", 16, seed).shape == (2, 1, 8, 8)
